//! Idempotency keys: the same request again gives the first answer again.
//!
//! Only good answers are kept: a refusal changed nothing, so trying it again is safe by itself.
use crate::effect::Reply;
use crate::input::Key;
use crate::refusal::{Code, Refusal};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::{String, ToString};

/// Most keys remembered; the oldest leave first.
const MOST: usize = 200_000;

/// Answers by (caller, key).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Keys {
    answers: BTreeMap<(String, String), (String, Reply)>,
    order: VecDeque<(String, String)>,
}

impl Keys {
    /// The answer given before, a refusal if the key was for something else, or `None` for a new key.
    pub fn answered(&self, by: &str, key: &Key) -> Option<Result<Reply, Refusal>> {
        let (print, reply) = self.answers.get(&(by.to_string(), key.name.clone()))?;
        Some(if *print == key.print {
            Ok(reply.clone())
        } else {
            let fact = format!("the key {} was used for another request", key.name);
            Err(Refusal::new(Code::KeyReused, fact).hint("make a new key for each new request"))
        })
    }

    /// Keep an answer.
    pub fn remember(&mut self, by: String, key: Key, reply: Reply) {
        let name = (by, key.name);
        self.order.push_back(name.clone());
        self.answers.insert(name, (key.print, reply));
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.answers.remove(&oldest);
        }
    }

    /// All of it, oldest first, for a snapshot.
    pub fn list(&self) -> impl Iterator<Item = (&str, &str, &str, &Reply)> {
        self.order.iter().filter_map(|name| {
            let (print, reply) = self.answers.get(name)?;
            Some((name.0.as_str(), name.1.as_str(), print.as_str(), reply))
        })
    }
}
