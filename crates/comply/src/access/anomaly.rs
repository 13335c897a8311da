use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use tapeloom_core::Timestamp;

use crate::{Error, Result};

/// The score of an event that is as rare as one in ten thousand, by the scale below.
const THRESHOLD: f64 = 0.8;
/// Bits after which half of the distance to 1 is left: 0.8 is `-log2(1e-4)` bits, with which `1 - 2^(-bits/scale)` is 0.8.
const SCALE: f64 = 5.722_706;

/// Days of history without which an hour of the day is not unusual: whoever starts at noon has seen no morning.
const DAYS: u32 = 14;

/// When an event counts as unusual.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AnomalyConfig {
    /// Score from which on. Default 0.8, which an ordinary event reaches once in ten thousand at most.
    pub anomaly_threshold: f64,
    /// Events of an actor before anything is said of them. Default 200.
    pub cold_start: u32,
    /// Windows over which rates are counted, in seconds. Default 60.
    pub window_s: u32,
}

impl Default for AnomalyConfig {
    fn default() -> Self {
        Self { anomaly_threshold: THRESHOLD, cold_start: 200, window_s: 60 }
    }
}

/// Something that an actor did.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// Who.
    pub actor: &'a str,
    /// What, such as `secret.read`.
    pub action: &'a str,
    /// From where.
    pub source: &'a str,
    /// When.
    pub time: Timestamp,
}

/// What is said of an event.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
#[non_exhaustive]
pub enum AnomalyScore {
    /// Too little is known of this actor.
    InsufficientData {
        /// Events so far.
        events: u32,
        /// Events that it takes.
        needed: u32,
    },
    /// How unusual it is.
    Scored {
        /// From 0 to 1: `1 - p^(1 / 5.72)` of the probability below in bits.
        score: f64,
        /// At most so often is an ordinary event at least so unusual. This is what a threshold means.
        false_alarm_rate: f64,
        /// Whether the score reaches the threshold.
        is_anomaly: bool,
    },
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Habits {
    events: u32,
    /// By action, source and hour of the day.
    actions: HashMap<String, u32>,
    sources: HashMap<String, u32>,
    hours: [u32; 24],
    /// Different days with events, and the newest of them.
    days: u32,
    day: i64,
    /// Events in the window at hand, and which it is.
    window: i64,
    in_window: u32,
    /// Whether the window held an anomaly, and is not learnt from.
    is_flagged: bool,
    /// Most events that windows had: how many windows had at least `n`, by `n`.
    windows: Vec<u32>,
}

/// Scores what actors do by how rare it is for them: the action, the source, the hour, and how many events there are in a window.
///
/// Each of the four is a probability that counts itself: of the events or windows before, the share that was at least so unusual,
/// with one added to both sides. So an action or source that was never seen is as rare as the history is long and no rarer: after
/// a thousand events it scores 0.62, after forty thousand 0.8. A burst is rarer the larger it is. The least of the four counts,
/// times four (Bonferroni), which bounds the rate of false alarms for an actor whose habits do not change.
/// The hour counts once there are two weeks of history. An event that scores as an anomaly is not learnt from: what became a habit
/// a person accepts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AnomalyDetector {
    config: AnomalyConfig,
    actors: HashMap<String, Habits>,
    /// Accepted by a person: habits that no longer count as unusual.
    accepted: HashSet<String>,
}

impl AnomalyDetector {
    /// Knows nobody yet.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a threshold outside 0 to 1, or a window of zero.
    pub fn new(config: AnomalyConfig) -> Result<Self> {
        if !(config.anomaly_threshold > 0.0 && config.anomaly_threshold < 1.0) {
            return Err(Error::invalid("anomaly_threshold", config.anomaly_threshold, "give a number between 0 and 1"));
        }
        if config.window_s == 0 {
            return Err(Error::invalid("window_s", 0, "give a number over zero"));
        }
        Ok(Self { config, actors: HashMap::new(), accepted: HashSet::new() })
    }

    /// The rate of false alarms that a threshold stands for.
    #[must_use]
    pub fn false_alarm_rate(threshold: f64) -> f64 {
        (1.0 - threshold).powf(SCALE)
    }

    /// Scores an event, and learns from it unless it is an anomaly.
    pub fn observe(&mut self, event: &Observation<'_>) -> AnomalyScore {
        let window = event.time.micros().div_euclid(i64::from(self.config.window_s) * 1_000_000);
        let hour = (event.time.micros().div_euclid(3_600_000_000)).rem_euclid(24) as usize;
        let day = event.time.micros().div_euclid(86_400_000_000);
        let habits = self.actors.entry(event.actor.to_owned()).or_default();
        if habits.window != window {
            habits.close_window();
            (habits.window, habits.in_window, habits.is_flagged) = (window, 0, false);
        }
        if habits.day != day {
            (habits.day, habits.days) = (day, habits.days.saturating_add(1));
        }
        habits.in_window += 1;
        if habits.events < self.config.cold_start {
            let score = AnomalyScore::InsufficientData { events: habits.events, needed: self.config.cold_start };
            habits.learn(event, hour);
            return score;
        }
        let action = rarity(habits.actions.values().copied(), habits.actions.get(event.action).copied(), habits.events);
        let source = rarity(habits.sources.values().copied(), habits.sources.get(event.source).copied(), habits.events);
        let hours = habits.hours;
        let is_known = habits.days > DAYS;
        let time = if is_known { rarity(hours.iter().copied(), Some(hours[hour]), habits.events) } else { 1.0 };
        let least = action.min(source).min(time).min(habits.rate());
        let p = (4.0 * least).min(1.0);
        let score = 1.0 - p.powf(1.0 / SCALE);
        let is_accepted = self.accepted.contains(&habit(event));
        let is_anomaly = score >= self.config.anomaly_threshold && !is_accepted;
        if is_anomaly {
            habits.is_flagged = true;
        } else {
            habits.learn(event, hour);
        }
        AnomalyScore::Scored { score, false_alarm_rate: p, is_anomaly }
    }

    /// Takes an actor's action from a source as a new habit, as a person decided.
    pub fn accept(&mut self, event: &Observation<'_>) {
        self.accepted.insert(habit(event));
    }
}

impl Habits {
    fn learn(&mut self, event: &Observation<'_>, hour: usize) {
        self.events = self.events.saturating_add(1);
        *self.actions.entry(event.action.to_owned()).or_default() += 1;
        *self.sources.entry(event.source.to_owned()).or_default() += 1;
        self.hours[hour] += 1;
    }

    fn close_window(&mut self) {
        if self.in_window > 0 && !self.is_flagged {
            let at = self.in_window.min(10_000) as usize;
            if self.windows.len() <= at {
                self.windows.resize(at + 1, 0);
            }
            self.windows[at] += 1;
        }
    }

    /// The share of windows with at least as many events as this one has so far. Beyond the most that was ever seen it falls as the
    /// tail of an exponential distribution with the windows' mean: slower than that of counts which come independently.
    fn rate(&self) -> f64 {
        let all: u32 = self.windows.iter().sum();
        let as_many: u32 = self.windows.iter().skip(self.in_window as usize).sum();
        let share = f64::from(as_many + 1) / f64::from(all + 1);
        let beyond = f64::from(self.in_window) - self.windows.len() as f64 + 1.0;
        if all == 0 || beyond <= 0.0 {
            return share;
        }
        let events: f64 = self.windows.iter().zip(0_u32..).map(|(windows, n)| f64::from(*windows) * f64::from(n)).sum();
        share * (-beyond * f64::from(all) / events).exp()
    }
}

/// The share of events that were of a value as rare as this one, or rarer.
fn rarity(counts: impl Iterator<Item = u32>, count: Option<u32>, events: u32) -> f64 {
    let count = count.unwrap_or(0);
    let as_rare: u32 = counts.filter(|other| *other <= count).sum();
    f64::from(as_rare + 1) / f64::from(events + 1)
}

fn habit(event: &Observation<'_>) -> String {
    format!("{:?}", (event.actor, event.action, event.source))
}
