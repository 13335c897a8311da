//! NCCL's functions, looked up when a group is made: nothing of it is needed to build.

use std::error::Error as _;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::PathBuf;
use std::ptr;
use std::sync::Arc;

use libloading::Library as Dynamic;
use tapeloom_dist::{Error, Result};

/// `ncclComm_t`.
pub(crate) type Comm = *mut c_void;
type Stream = *mut c_void;
/// `ncclResult_t`, as a number: a later NCCL may give one that no list here has.
type Status = c_int;

const SUCCESS: Status = 0;
const IN_PROGRESS: Status = 7;

/// `ncclDataType_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub(crate) enum DataType {
    F32 = 7,
    F64 = 8,
    Bf16 = 9,
}

/// `ncclRedOp_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub(crate) enum RedOp {
    Sum = 0,
    Max = 2,
    Mean = 4,
}

/// `ncclUniqueId`: names a group to be.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct UniqueId(pub(crate) [u8; Self::SIZE]);

impl UniqueId {
    pub(crate) const SIZE: usize = 128;
}

/// `ncclConfig_t` as of NCCL 2.17, which later versions take as well.
#[derive(Debug)]
#[repr(C)]
struct Config {
    size: usize,
    magic: u32,
    version: u32,
    blocking: c_int,
    cga_cluster_size: c_int,
    min_ctas: c_int,
    max_ctas: c_int,
    net_name: *const c_char,
    split_share: c_int,
}

impl Config {
    /// Calls return at once; all else is left to NCCL and its environment variables.
    const fn new() -> Self {
        const OPEN: c_int = c_int::MIN;
        Self {
            size: size_of::<Self>(),
            magic: 0xCAFE_BEEF,
            version: 21_700,
            blocking: 0,
            cga_cluster_size: OPEN,
            min_ctas: OPEN,
            max_ctas: OPEN,
            net_name: ptr::null(),
            split_share: OPEN,
        }
    }
}

/// The functions that this crate calls, and the library they are in.
#[derive(Debug)]
pub(crate) struct Library {
    version: unsafe extern "C" fn(*mut c_int) -> Status,
    unique_id: unsafe extern "C" fn(*mut UniqueId) -> Status,
    init: unsafe extern "C" fn(*mut Comm, c_int, UniqueId, c_int, *mut Config) -> Status,
    state: unsafe extern "C" fn(Comm, *mut Status) -> Status,
    pub(crate) abort: unsafe extern "C" fn(Comm) -> Status,
    pub(crate) finalize: unsafe extern "C" fn(Comm) -> Status,
    pub(crate) destroy: unsafe extern "C" fn(Comm) -> Status,
    last_error: unsafe extern "C" fn(Comm) -> *const c_char,
    pub(crate) all_reduce:
        unsafe extern "C" fn(*const c_void, *mut c_void, usize, DataType, RedOp, Comm, Stream) -> Status,
    pub(crate) reduce_scatter:
        unsafe extern "C" fn(*const c_void, *mut c_void, usize, DataType, RedOp, Comm, Stream) -> Status,
    pub(crate) all_gather: unsafe extern "C" fn(*const c_void, *mut c_void, usize, DataType, Comm, Stream) -> Status,
    pub(crate) broadcast:
        unsafe extern "C" fn(*const c_void, *mut c_void, usize, DataType, c_int, Comm, Stream) -> Status,
    _dynamic: Dynamic,
}

impl Library {
    /// The names that it goes by, the packaged one first.
    const NAMES: [&str; 2] = ["libnccl.so.2", "libnccl.so"];

    /// Opens `path`, or what the system's loader finds.
    pub(crate) fn open(path: Option<&PathBuf>) -> Result<Arc<Self>> {
        let names = match path {
            Some(path) => vec![path.clone()],
            None => Self::NAMES.map(PathBuf::from).to_vec(),
        };
        let mut reasons = Vec::new();
        for name in &names {
            // SAFETY: the library's initialisers are NCCL's own, which may run at any time.
            match unsafe { Dynamic::new(name) } {
                // SAFETY: it goes by NCCL's name, and the types below are those of NCCL 2.
                Ok(dynamic) => return unsafe { Self::of(dynamic) }.map(Arc::new),
                Err(error) => {
                    let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
                    reasons.push(format!("{}: {cause}", name.display()));
                }
            }
        }
        let reason = format!(
            "{}; install NCCL 2 (Debian: libnccl2; PyPI: nvidia-nccl) and put its folder on the loader's path",
            reasons.join("; ")
        );
        Err(Error::System { action: "opening NCCL".into(), reason })
    }

    /// # Safety
    /// `dynamic` must be NCCL 2.
    unsafe fn of(dynamic: Dynamic) -> Result<Self> {
        macro_rules! find {
            ($name:literal) => {
                // SAFETY: the caller's promise; the field's type is the function's.
                *unsafe { dynamic.get(concat!($name, "\0").as_bytes()) }.map_err(|error| Error::System {
                    action: concat!("looking up ", $name).into(),
                    reason: format!("{error}; NCCL 2.18 or later has it"),
                })?
            };
        }
        Ok(Self {
            version: find!("ncclGetVersion"),
            unique_id: find!("ncclGetUniqueId"),
            init: find!("ncclCommInitRankConfig"),
            state: find!("ncclCommGetAsyncError"),
            abort: find!("ncclCommAbort"),
            finalize: find!("ncclCommFinalize"),
            destroy: find!("ncclCommDestroy"),
            last_error: find!("ncclGetLastError"),
            all_reduce: find!("ncclAllReduce"),
            reduce_scatter: find!("ncclReduceScatter"),
            all_gather: find!("ncclAllGather"),
            broadcast: find!("ncclBroadcast"),
            _dynamic: dynamic,
        })
    }

    /// Major, minor, patch.
    pub(crate) fn version(&self) -> Result<[u32; 3]> {
        let mut code = 0;
        // SAFETY: it writes one number.
        self.done("asking NCCL for its version", unsafe { (self.version)(&mut code) })?;
        let code = code.unsigned_abs();
        Ok([code / 10_000, code / 100 % 100, code % 100])
    }

    pub(crate) fn unique_id(&self) -> Result<UniqueId> {
        let mut id = UniqueId([0; UniqueId::SIZE]);
        // SAFETY: it writes one id.
        self.done("asking NCCL for an identity of the group", unsafe { (self.unique_id)(&mut id) })?;
        Ok(id)
    }

    /// Begins to join a group; the communicator is in progress.
    pub(crate) fn init(&self, id: UniqueId, rank: usize, world_size: usize) -> Result<Comm> {
        let mut config = Config::new();
        let mut comm = ptr::null_mut();
        // SAFETY: all pointers are to locals, which the call does not keep.
        let status = unsafe { (self.init)(&mut comm, world_size as c_int, id, rank as c_int, &mut config) };
        self.done("joining a group of NCCL", status)?;
        Ok(comm)
    }

    /// Whether all that was asked of the communicator is under way on the device, and not still being prepared by NCCL.
    pub(crate) fn is_settled(&self, comm: Comm) -> Result<bool> {
        let mut state = SUCCESS;
        // SAFETY: the communicator is alive as long as its owner, who asks; one number is written.
        let status = unsafe { (self.state)(comm, &mut state) };
        self.done("asking for the state of a communicator", status)?;
        self.done("a collective of NCCL", state)?;
        Ok(state == SUCCESS)
    }

    /// An error where `status` is one; work in progress is none.
    pub(crate) fn done(&self, action: &str, status: Status) -> Result<()> {
        if matches!(status, SUCCESS | IN_PROGRESS) {
            return Ok(());
        }
        // SAFETY: NCCL gives a text that stays, or null.
        let text = unsafe {
            let text = (self.last_error)(ptr::null_mut());
            if text.is_null() { String::new() } else { CStr::from_ptr(text).to_string_lossy().trim().to_owned() }
        };
        Err(Error::System { action: action.into(), reason: format!("{}: {text}", name(status)) })
    }
}

const fn name(status: Status) -> &'static str {
    match status {
        1 => "a call of CUDA failed",
        2 => "a call of the system failed",
        3 => "internal error",
        4 => "an argument is not valid",
        5 => "the call is not allowed now",
        6 => "a remote rank failed",
        8 => "timed out",
        _ => "unknown error",
    }
}
