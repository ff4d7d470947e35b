//! The Gradio face: what `gradio_client` and `@gradio/client` ask of a server, answered from the same jobs.
//!
//! A client asks what there is (`describe`), uploads files (`upload`), joins the queue (`join`), and hears of
//! everything that it joined on one stream per session (`stream`), or, with curl, of one call at a time (`call`).
//! A join makes a job like any other: it has a page, and goes on when the client is gone. Nothing is queued per
//! client: what a stream says is made from the job's bounded event log when the client takes it (`telling`), so
//! messages wait for a stream that opens late without taking memory.
//!
//! Protocol `sse_v3`, as Gradio 5 and 6 speak it.

mod arguments;
mod call;
mod cancel;
mod describe;
mod events;
mod file;
mod join;
mod login;
mod message;
mod root;
mod stream;
mod telling;
mod upload;

pub(super) use call::{NamedCall, hear_call, make_call, make_named_call};
pub(super) use cancel::{Stop, cancel, reset};
pub(super) use describe::{config, info};
pub(super) use events::Events;
pub(super) use file::file;
pub(super) use join::{Called, Joined, join};
pub(super) use login::login;
pub(super) use stream::stream;
pub(super) use upload::upload;

pub(super) use call::Data;
pub(super) use cancel::Stopped;
pub(super) use login::SignedIn;

/// Everything but `/config` and `/login` is below this. Recipes for curl have it in them as it is.
const PREFIX: &str = "/gradio_api";

/// What can be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    /// `/generate`: let an avatar speak a clip.
    Generate,
    /// `/avatars`: the faces that can speak.
    Avatars,
}

impl Endpoint {
    const ALL: [Self; 2] = [Self::Generate, Self::Avatars];

    fn name(self) -> &'static str {
        match self {
            Self::Generate => "generate",
            Self::Avatars => "avatars",
        }
    }

    /// Its `fn_index`. Not from 0: the JavaScript client takes 0 for none.
    fn index(self) -> u64 {
        match self {
            Self::Generate => 1,
            Self::Avatars => 2,
        }
    }

    fn of_index(index: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|endpoint| endpoint.index() == index)
    }

    fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|endpoint| endpoint.name() == name)
    }
}
