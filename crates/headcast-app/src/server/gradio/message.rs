//! What is said on Gradio's streams, word for word.

use serde_json::{Value, json};

use crate::jobs::{Level, Progress};

/// Values of an endpoint's outputs, in their order.
pub(super) type Outputs = Vec<Value>;

/// Something to say about an event.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// It waits.
    Waiting {
        /// Jobs ahead of it.
        rank: usize,
        /// Jobs that are not over.
        waiting: usize,
    },
    /// Its turn has come.
    Starts,
    /// How far it is.
    Progress(Progress),
    /// A line for people.
    Log(Level, String),
    /// What there is of its outputs now.
    Generating(Outputs),
    /// The end: its outputs.
    Completed(Outputs),
    /// The end: what was wrong.
    Failed(String),
    /// The end: somebody stopped it.
    Cancelled,
}

impl Step {
    pub(super) fn is_end(&self) -> bool {
        matches!(self, Self::Completed(_) | Self::Failed(_) | Self::Cancelled)
    }

    /// What clients are told of an end that is none to be glad of; `None` for every other step.
    pub(super) fn error(&self) -> Option<Value> {
        match self {
            Self::Failed(reason) => {
                Some(json!({ "error": reason, "title": "Error", "visible": true, "duration": 10 }))
            }
            // Not an empty output, which the JavaScript client stumbles over.
            Self::Cancelled => Some(json!({ "error": "Cancelled", "title": "Cancelled", "visible": false })),
            _ => None,
        }
    }
}

/// Said when nothing else is, so that the line stays open. The Python client takes no comments.
pub(super) const HEARTBEAT: &str = r#"{"msg":"heartbeat"}"#;

/// Nothing of the session is left to tell; the client closes the stream.
pub(super) fn close_stream() -> Value {
    json!({ "msg": "close_stream", "event_id": null })
}

/// There is nothing of that session, and maybe never was.
pub(super) fn no_such_session() -> Value {
    json!({
        "msg": "unexpected_error",
        "event_id": null,
        "message": "404: nothing of this session is here; the server may have been started again since",
        "session_not_found": true,
        "success": false,
    })
}

/// Says the steps of one event on a session's stream, outputs as differences from what was said before.
#[derive(Debug)]
pub(super) struct Speaker {
    event_id: String,
    said: Option<Outputs>,
}

impl Speaker {
    pub(super) fn new(event_id: &str) -> Self {
        Self { event_id: event_id.to_owned(), said: None }
    }

    pub(super) fn message(&mut self, step: Step) -> Value {
        let error = step.error();
        let mut message = match step {
            Step::Waiting { rank, waiting } => {
                json!({ "msg": "estimation", "rank": rank, "queue_size": waiting, "rank_eta": null })
            }
            Step::Starts => json!({ "msg": "process_starts", "eta": null }),
            Step::Progress(progress) => {
                json!({ "msg": "progress", "progress_data": [progress_unit(&progress)] })
            }
            Step::Log(level, text) => {
                let (level, title) = level_words(level);
                let (visible, duration) = (true, 10);
                json!({
                    "msg": "log", "log": text, "level": level, "title": title,
                    "visible": visible, "duration": duration,
                })
            }
            Step::Generating(outputs) => {
                let data = self.difference(outputs);
                json!({
                    "msg": "process_generating",
                    "output": { "data": data, "is_generating": true },
                    "success": true,
                })
            }
            Step::Completed(outputs) => json!({
                "msg": "process_completed",
                "output": { "data": outputs, "is_generating": false },
                "success": true,
            }),
            Step::Failed(_) | Step::Cancelled => {
                json!({ "msg": "process_completed", "output": error, "success": false })
            }
        };
        message["event_id"] = self.event_id.as_str().into();
        message
    }

    /// All of it the first time; then, for each output, a list of edits.
    fn difference(&mut self, outputs: Outputs) -> Value {
        let Some(said) = self.said.replace(outputs.clone()) else { return outputs.into() };
        said.into_iter()
            .zip(outputs)
            .map(|(said, now)| if said == now { json!([]) } else { json!([["replace", [], now]]) })
            .collect()
    }
}

/// Gradio's words for a level.
fn level_words(level: Level) -> (&'static str, &'static str) {
    match level {
        Level::Info => ("info", "Info"),
        Level::Warn => ("warning", "Warning"),
        Level::Error => ("error", "Error"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a display value from counts below 2^53")]
fn progress_unit(progress: &Progress) -> Value {
    let Progress { frames, total, fps, .. } = *progress;
    let Some(total) = total else {
        return json!({
            "index": null, "length": null, "unit": "frames", "progress": null,
            "desc": phase_words(progress),
        });
    };
    let part = (frames as f64 / total as f64).min(1.0);
    let desc = if fps > 0.0 {
        format!("{}, {fps:.1} frames/s", phase_words(progress))
    } else {
        phase_words(progress)
    };
    json!({ "index": frames, "length": total, "unit": "frames", "progress": part, "desc": desc })
}

fn phase_words(progress: &Progress) -> String {
    format!("{:?}", progress.phase).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_whole_once_and_edits_after() {
        let mut speaker = Speaker::new("e");
        let mut data = |outputs: Value| {
            let Value::Array(outputs) = outputs else { panic!("not a list") };
            speaker.message(Step::Generating(outputs))["output"]["data"].clone()
        };
        assert_eq!(data(json!([null, "u", { "n": 1 }])), json!([null, "u", { "n": 1 }]));
        assert_eq!(data(json!([null, "u", { "n": 1 }])), json!([[], [], []]));
        assert_eq!(data(json!([null, "u", { "n": 2 }])), json!([[], [], [["replace", [], { "n": 2 }]]]));
        let last = speaker.message(Step::Completed(vec![json!(1)]));
        assert_eq!(last["output"]["data"], json!([1]));
        assert_eq!(last["event_id"], "e");
    }

    #[test]
    fn an_end_says_whether_it_is_one_to_be_glad_of() {
        let mut speaker = Speaker::new("e");
        let failed = speaker.message(Step::Failed("no light".to_owned()));
        assert_eq!((&failed["success"], &failed["output"]["error"]), (&json!(false), &json!("no light")));
        assert_eq!(failed["output"]["visible"], true);
        let cancelled = speaker.message(Step::Cancelled);
        assert_eq!(
            cancelled["output"],
            json!({ "error": "Cancelled", "title": "Cancelled", "visible": false })
        );
        assert_eq!((&cancelled["msg"], &cancelled["success"]), (&json!("process_completed"), &json!(false)));
    }
}
