//! Who asks over the control socket, and what is answered.

use super::*;

impl<Rm: Remote + Send + 'static> Agent<Rm> {
    pub(super) fn asked(&mut self, r: Request) {
        let done = |r: &Request, v: Value| {
            let _ = r.answer.try_send(v);
            r.answer.close();
        };
        match r.ask {
            Ask::Status => {
                let mut status = self.told().json();
                status["done"] = json!(true);
                done(&r, status);
            }
            // Its end is the answer.
            Ask::Stop => self.stop(),
            Ask::Pause(millis) => {
                let until = millis.map(|m| self.now().saturating_add(m));
                self.schedule.pause(until);
                done(&r, json!({"done": true, "until": millis.map(|m| System.now().s + (m / 1000) as i64)}));
            }
            Ask::Resume => {
                self.schedule.resume();
                done(&r, json!({"done": true}));
            }
            // Nobody has it: whoever asked first, the lock says.
            Ask::Lend if matches!(self.vault, Vault::Broken(_)) => done(&r, json!({"lent": true})),
            Ask::Lend => self.borrowers.push_back(r),
            Ask::Wait if self.schedule.paused().is_some() => {
                done(&r, json!({"done": false, "why": "paused", "remedy": "sharelock resume"}))
            }
            Ask::Sync | Ask::Wait => {
                if let Vault::Broken(why) = &self.vault {
                    return done(&r, json!({"done": false, "why": why}));
                }
                let awaiting = self.nudge();
                if awaiting.is_empty() {
                    self.schedule.force();
                }
                self.waiting.push(Waiting { request: r, awaiting, began: false });
            }
        }
    }

    /// A round is over: who waited for it hears.
    pub(super) fn answer_waiting(&mut self) {
        let f = &self.latest;
        let stored: Vec<&String> = self.nodes.iter().filter(|(_, n)| n.error.is_none() && n.head == f.head).map(|(name, _)| name).collect();
        let away: Vec<&String> = self.nodes.iter().filter(|(_, n)| n.error.is_some()).map(|(name, _)| name).collect();
        let complete = f.error.is_none() && !f.again && !stored.is_empty() && stored.len() + away.len() == self.nodes.len();
        let errors: Vec<Value> = self
            .nodes
            .iter()
            .filter_map(|(name, n)| n.error.as_ref().map(|e| json!({"name": name, "error": control::error_json(e)})))
            .collect();
        let mut again = false;
        self.waiting.retain_mut(|w| {
            if !w.began {
                return true;
            }
            let answer = match w.request.ask {
                Ask::Sync => Some(json!({
                    "done": true, "files": f.vault.0, "bytes": f.vault.1, "nodes": self.nodes.len(), "errors": errors,
                    "report": f.report, "error": f.error.as_ref().map(control::error_json),
                })),
                _ if complete => Some(json!({"done": true, "stored": stored, "away": away})),
                _ => None,
            };
            match answer {
                Some(v) => {
                    let _ = w.request.answer.try_send(v);
                    w.request.answer.close();
                    false
                }
                None if w.request.answer.is_closed() => false,
                None => {
                    let _ = w.request.answer.try_send(json!({"waiting": true, "stored": stored, "away": away}));
                    // A node that answers again, or a change, leads to another round by itself.
                    again |= f.again;
                    true
                }
            }
        });
        if again {
            log::debug!("somebody waits for what this round left");
        }
    }
}
