//! The part that waits: one task that connects, serves, and comes back by itself until it is told to stop.
//!
//! It ends itself only by [`Command::Stop`] or when the agent's channels are closed. While idle it wakes once in about four
//! minutes, asks for a sign of life, and gives a silent server 30 s.

mod connect;

use super::session::{Out, Session};
use super::stanza::{CLIENT, el};
use super::stream::{Happening, Stream};
use super::{Command, Config, Event, Result, Trouble, compat};
use connect::{Connected, broken, connect};
use futures_rustls::client::TlsStream;
use smol::channel::{Receiver, Sender};
use smol::future::FutureExt;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::TcpStream;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Silence after which the link is looked at.
const IDLE: Duration = Duration::from_secs(240);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(30);
/// A connection that lasted so long was a good one: the next try comes at once.
const GOOD: Duration = Duration::from_secs(60);
/// The longest wait between tries.
const LONGEST: Duration = Duration::from_secs(300);
/// The longest wait where a person is needed; the first is [`LONGEST`], since a network that intercepts (a hotel's) looks the same.
const RARELY: Duration = Duration::from_secs(3600);
/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_millis(500);
/// Events that may wait for the agent before further ones are dropped. A notice is a hint, and polling goes on; a server that never stops
/// must not fill the memory.
const QUEUED: usize = 256;
/// Texts for people that wait for a connection.
const HELD: usize = 16;

/// 64 random bits; not for secrets. Without a source of randomness everything is at the same time, and nothing worse.
fn random() -> u64 {
    let mut bytes = [0; 8];
    let _ = getrandom::fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// Between half of `d` and all of it.
fn jittered(d: Duration) -> Duration {
    let half = d / 2;
    half + Duration::from_millis(random() % (u64::try_from(half.as_millis()).unwrap_or(u64::MAX).saturating_add(1)))
}

/// Serves one account until it is told to stop.
///
/// `to_agent` should be unbounded, or the agent must never wait to send into `from_agent`: else both may wait for each other.
pub async fn run(config: Config, from_agent: Receiver<Command>, to_agent: Sender<Event>) {
    let resource = first_resource(&config);
    let mut life =
        Life { session: Session::new(config.clone()), config, resource, from_agent, to_agent, held: VecDeque::new(), told: Told::Nothing };
    let _ = life.live().await;
}

fn first_resource(config: &Config) -> String {
    if config.compat {
        return compat::resource(&rustix::system::uname().nodename().to_string_lossy());
    }
    config.resource.clone().unwrap_or_else(|| format!("sharelock-{:08x}", random() as u32))
}

/// What the agent was told last.
#[derive(PartialEq, Eq)]
enum Told {
    Nothing,
    Online,
    Offline,
    Refused(String),
}

/// The task is to end.
struct Stopped;

struct Life {
    config: Config,
    session: Session,
    /// The same over reconnects, so that a new login takes the place of a dead one.
    resource: String,
    from_agent: Receiver<Command>,
    to_agent: Sender<Event>,
    held: VecDeque<Command>,
    told: Told,
}

/// What woke the task.
enum Woke {
    Read(std::io::Result<usize>),
    Command(Option<Command>),
    Time,
}

impl Life {
    async fn live(&mut self) -> std::result::Result<(), Stopped> {
        let mut wait = Duration::from_secs(1);
        loop {
            let began = Instant::now();
            let trouble = match self.connected().await? {
                Ok(c) => self.serve(c).await?,
                Err(trouble) => trouble,
            };
            self.session.end();
            if began.elapsed() > GOOD {
                wait = Duration::from_secs(1);
            }
            log::debug!("xmpp: {trouble}");
            let most = match trouble {
                Trouble::Refused { why, remedy } => {
                    if self.told != Told::Refused(why.clone()) {
                        self.told = Told::Refused(why.clone());
                        self.tell(Event::Refused { why, remedy }).await?;
                    }
                    wait = wait.max(LONGEST / 2);
                    RARELY
                }
                trouble => {
                    if trouble == Trouble::Conflict {
                        let base = self.resource.split('~').next().unwrap_or_default();
                        self.resource = format!("{base}~{:08x}", random() as u32);
                    }
                    // A refusal stays what a person must know, also when the network goes away meanwhile.
                    if !matches!(self.told, Told::Offline | Told::Refused(_)) {
                        self.told = Told::Offline;
                        self.tell(Event::Offline { why: trouble.to_string() }).await?;
                    }
                    LONGEST
                }
            };
            self.pause(jittered(wait)).await?;
            wait = (wait * 2).min(most);
        }
    }

    async fn tell(&mut self, event: Event) -> std::result::Result<(), Stopped> {
        self.to_agent.send(event).await.map_err(|_| Stopped)
    }

    /// Connects, while commands go on being taken.
    async fn connected(&mut self) -> std::result::Result<Result<Connected>, Stopped> {
        let (config, resource) = (self.config.clone(), self.resource.clone());
        let connecting = async { Ok(connect(&config, &resource).await) };
        let stopped = async {
            loop {
                // Whoever wants to connect at once sees that it is under way.
                self.offline_command().await?;
            }
        };
        connecting.or(stopped).await
    }

    /// Waits between two tries, or until [`Command::Retry`].
    async fn pause(&mut self, d: Duration) -> std::result::Result<(), Stopped> {
        let time = async {
            smol::Timer::after(d).await;
            Ok(())
        };
        let commands = async {
            loop {
                if self.offline_command().await? {
                    return Ok(());
                }
            }
        };
        time.or(commands).await
    }

    /// Takes a command without a connection; true for [`Command::Retry`].
    async fn offline_command(&mut self) -> std::result::Result<bool, Stopped> {
        match self.from_agent.recv().await {
            Err(_) | Ok(Command::Stop) => return Err(Stopped),
            Ok(Command::Retry) => return Ok(true),
            Ok(c @ Command::Publish(_)) => drop(self.session.command(c)),
            // Whoever asked has the answer of another time.
            Ok(Command::Reply { .. }) => {}
            Ok(c) => {
                if self.held.contains(&c) {
                    return Ok(false);
                }
                if self.held.len() >= HELD {
                    self.held.pop_front();
                }
                self.held.push_back(c);
            }
        }
        Ok(false)
    }

    async fn serve(&mut self, c: Connected) -> std::result::Result<Trouble, Stopped> {
        let mut link =
            Link { io: c.io, stream: c.stream, quiet_since: Instant::now(), probed: false, idle: jittered(IDLE / 8) + IDLE * 7 / 8 };
        let mut buffer = vec![0; 4096];
        let mut happened = c.first;
        loop {
            for h in happened.drain(..) {
                let out = match h {
                    Happening::Bound(me) => {
                        self.told = Told::Online;
                        let mut out = self.session.begin(me, c.tls);
                        for held in self.held.drain(..) {
                            out.stanzas.extend(self.session.command(held).stanzas);
                        }
                        out
                    }
                    Happening::Stanza(e) => self.session.stanza(&e),
                    Happening::Closed => return Ok(Trouble::broken("the XMPP server ended the connection")),
                    Happening::StartTls => continue,
                };
                self.put(&mut link, out).await?;
            }
            if let Err(trouble) = link.flush().await {
                return Ok(trouble);
            }
            let awaits = link.probed || self.session.waits();
            let deadline = link.quiet_since + if awaits { ANSWER } else { link.idle };
            let read = async { Woke::Read(link.io.read(&mut buffer).await) };
            let command = async { Woke::Command(self.from_agent.recv().await.ok()) };
            let time = async {
                smol::Timer::at(deadline).await;
                Woke::Time
            };
            // Commands first: a server that never stops talking does not keep the agent from being heard.
            match command.or(read).or(time).await {
                Woke::Read(Ok(0)) => return Ok(Trouble::broken("the XMPP server closed the connection")),
                Woke::Read(Err(e)) => return Ok(broken(&e)),
                Woke::Read(Ok(n)) => {
                    link.quiet_since = Instant::now();
                    link.probed = false;
                    match link.stream.feed(&buffer[..n]) {
                        Ok(h) => happened = h,
                        Err(trouble) => return Ok(trouble),
                    }
                }
                Woke::Command(None | Some(Command::Stop)) => {
                    link.farewell().await;
                    return Err(Stopped);
                }
                Woke::Command(Some(Command::Retry)) if !awaits => link.probe(&mut self.session),
                Woke::Command(Some(Command::Retry)) => {}
                Woke::Command(Some(c)) => {
                    let out = self.session.command(c);
                    self.put(&mut link, out).await?;
                    // What needs no answer does not put off the next look at the link.
                    if !awaits && self.session.waits() {
                        link.quiet_since = Instant::now();
                    }
                }
                Woke::Time if awaits => return Ok(Trouble::broken("the XMPP server does not answer any more")),
                Woke::Time => link.probe(&mut self.session),
            }
        }
    }

    async fn put(&mut self, link: &mut Link, out: Out) -> std::result::Result<(), Stopped> {
        out.stanzas.iter().for_each(|e| link.stream.send(e));
        for event in out.events {
            let state = matches!(event, Event::Online { .. });
            if state || self.to_agent.len() < QUEUED {
                self.tell(event).await?;
            }
        }
        Ok(())
    }
}

/// A connection that is up.
struct Link {
    io: TlsStream<TcpStream>,
    stream: Stream,
    /// The last byte from the server, or our question if that was later.
    quiet_since: Instant,
    /// A sign of life was asked for.
    probed: bool,
    idle: Duration,
}

impl Link {
    async fn flush(&mut self) -> Result<()> {
        let out = self.stream.output();
        if out.is_empty() {
            return Ok(());
        }
        let write = async {
            self.io.write_all(&out).await.map_err(|e| broken(&e))?;
            self.io.flush().await.map_err(|e| broken(&e))
        };
        let late = async {
            smol::Timer::after(ANSWER).await;
            Err(Trouble::broken("the XMPP server takes nothing any more"))
        };
        write.or(late).await
    }

    fn probe(&mut self, session: &mut Session) {
        if !self.stream.request_ack() {
            self.stream.send(&session.ping());
        }
        session.subscribe().iter().for_each(|e| self.stream.send(e));
        self.probed = true;
        self.quiet_since = Instant::now();
    }

    async fn farewell(&mut self) {
        self.stream.send(&el("presence", CLIENT, &[("type", "unavailable")]));
        self.stream.close();
        let say = async {
            let _ = self.flush().await;
            let _ = self.io.close().await;
        };
        let late = async {
            smol::Timer::after(FAREWELL).await;
        };
        say.or(late).await;
    }
}
