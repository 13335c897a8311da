use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tapeloom_core::{Event, Observer, Timestamp};

use crate::floats::{from_line, to_line};
use crate::line_writer::{LineWriter, Sink};
use crate::{Error, Result};

/// Bytes read at a time when looking for the last newline.
const CHUNK: usize = 64 * 1024;
/// How every line begins.
const START: &[u8] = b"{\"time\":\"";

/// Writes one JSON object per event and line, `{"time":"2018-12-31T23:59:59.000000Z","event":{"event":"epoch_started","epoch":1}}`.
///
/// One log has one writer. Writing happens on a thread of its own behind a bounded queue, so a slow disk never holds up training. What can't be
/// queued or written is counted in [`Jsonl::lost`]; a failed write leaves no half line behind. Floats that are not finite
/// are the strings `"NaN"`, `"Infinity"` and `"-Infinity"`, so that every line is valid JSON. [`read_jsonl`] reads it all back.
///
/// ```
/// use tapeloom_core::{Event, Observer, Timestamp};
/// use tapeloom_track::{Jsonl, read_jsonl};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("events.jsonl");
/// let log = Jsonl::open(&path)?;
/// log.observe(Timestamp::parse("2018-12-31")?, &Event::EpochStarted { epoch: 1 });
/// log.flush();
/// assert_eq!(log.lost(), 0);
/// assert_eq!(read_jsonl(&path)?.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Jsonl {
    path: PathBuf,
    writer: LineWriter,
}

impl Jsonl {
    /// Opens the log at `path` to go on at its end, making the file and its folder where they are missing. A last line that
    /// a crash has torn is cut off.
    ///
    /// # Errors
    /// [`Error::Damaged`] when the file holds something else, which is left alone; [`Error::Io`] when it can't be opened;
    /// [`Error::Spawn`] when there is no thread to be had.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|e| Error::io("create folder", folder, e))?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&path)
            .map_err(|e| Error::io("open", &path, e))?;
        mend(&mut file, &path)?;
        Ok(Self { path, writer: LineWriter::start(Box::new(LogFile(file)))? })
    }

    /// Events that were not written, because the queue was full or the disk refused.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.writer.lost()
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Observer for Jsonl {
    fn observe(&self, at: Timestamp, event: &Event) {
        match to_line(at, event) {
            Ok(line) => self.writer.write(line),
            Err(_) => self.writer.lose(1),
        }
    }

    /// Waits until all that was observed is with the operating system, 5 seconds at most.
    fn flush(&self) {
        self.writer.flush();
    }
}

struct LogFile(File);

impl Sink for LogFile {
    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let before = self.0.metadata()?.len();
        self.0.write_all(bytes).inspect_err(|_| {
            // A half-written line would spoil the lines behind it.
            let _ = self.0.set_len(before);
        })
    }
}

/// Cuts a torn last line off an event log; refuses any other file.
fn mend(file: &mut File, path: &Path) -> Result<()> {
    let io = |action| move |e| Error::io(action, path, e);
    let len = file.metadata().map_err(io("look at"))?.len();
    let mut head = Vec::new();
    file.seek(SeekFrom::Start(0)).map_err(io("read"))?;
    Read::by_ref(file).take(START.len() as u64).read_to_end(&mut head).map_err(io("read"))?;
    if !START.starts_with(&head) {
        return Err(Error::Damaged { path: path.into(), line: 1, detail: "it does not start like one".into() });
    }
    // Backwards from the end to the last newline; lines are short, so this reads one chunk.
    let (mut end, mut chunk) = (len, vec![0; CHUNK]);
    while end > 0 {
        let start = end.saturating_sub(CHUNK as u64);
        let part = &mut chunk[..(end - start) as usize];
        file.seek(SeekFrom::Start(start)).and_then(|_| file.read_exact(part)).map_err(io("read"))?;
        if let Some(newline) = part.iter().rposition(|byte| *byte == b'\n') {
            end = start + newline as u64 + 1;
            break;
        }
        end = start;
    }
    if end < len {
        file.set_len(end).map_err(io("cut the torn last line off"))?;
    }
    Ok(())
}

/// Reads the log of a [`Jsonl`], oldest event first. A last line without its newline is what a crash leaves behind and is
/// passed over; floats come back to 15 significant digits.
///
/// # Errors
/// [`Error::Damaged`] names the first line that is no event; [`Error::Io`] when the file can't be read.
pub fn read_jsonl(path: impl AsRef<Path>) -> Result<Vec<(Timestamp, Event)>> {
    let path = path.as_ref();
    let mut reader = BufReader::new(File::open(path).map_err(|e| Error::io("open", path, e))?);
    let (mut events, mut line) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        reader.read_until(b'\n', &mut line).map_err(|e| Error::io("read", path, e))?;
        if line.last() != Some(&b'\n') {
            return Ok(events);
        }
        let number = events.len() as u64 + 1;
        events.push(from_line(&line).map_err(|e| Error::Damaged {
            path: path.into(),
            line: number,
            detail: e.to_string(),
        })?);
    }
}
