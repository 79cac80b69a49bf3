//! The control socket: how other verbs talk to the running agent.
//!
//! A Unix socket of the user's own (mode 0600 in a directory that only its owner may enter; the kernel tells who is at
//! the other end, and others are hung up on). One request a connection: a line, a word with its argument. Answers are
//! lines of JSON; the last one has `"done"` (true, or false with `"why"`).

use super::Event;
use crate::error::{Class, Error, Kind, Result};
use crate::git::Remote;
use serde_json::{Value, json};
use smol::channel::{Receiver, Sender};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::unix::UnixListener;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A request is no longer than this.
const LONGEST: usize = 256;
/// The name of the socket in the state directory.
pub const NAME: &str = "agent.sock";

/// What is asked of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// How things stand, as JSON.
    Status,
    /// One full round, now; answers when it is over.
    Sync,
    /// Answers when everything of this device is stored on the nodes that answer.
    Wait,
    /// The agent ends, which is the answer: the connection is closed, and its lock is free once it has ended.
    Stop,
    /// Nothing is done for so many milliseconds, or until `resume`.
    Pause(Option<u64>),
    /// The pause is over.
    Resume,
    /// The agent lets go of the vault until this connection is closed, so that another verb can work on it.
    Lend,
}

impl Ask {
    /// Reads a request without its newline.
    pub fn parse(line: &str) -> Option<Ask> {
        let (word, argument) = line.split_once(' ').unwrap_or((line, ""));
        Some(match (word, argument) {
            ("status", "") => Ask::Status,
            ("sync", "") => Ask::Sync,
            ("wait", "") => Ask::Wait,
            ("stop", "") => Ask::Stop,
            ("pause", "") => Ask::Pause(None),
            ("pause", millis) => Ask::Pause(Some(millis.parse().ok()?)),
            ("resume", "") => Ask::Resume,
            ("lend", "") => Ask::Lend,
            _ => return None,
        })
    }

    fn line(self) -> String {
        match self {
            Ask::Status => "status\n".into(),
            Ask::Sync => "sync\n".into(),
            Ask::Wait => "wait\n".into(),
            Ask::Stop => "stop\n".into(),
            Ask::Pause(None) => "pause\n".into(),
            Ask::Pause(Some(millis)) => format!("pause {millis}\n"),
            Ask::Resume => "resume\n".into(),
            Ask::Lend => "lend\n".into(),
        }
    }
}

/// A request with the way back.
#[derive(Debug)]
pub struct Request {
    /// What is asked.
    pub ask: Ask,
    /// Which connection.
    pub id: u64,
    /// Lines of the answer; the connection is closed when this is dropped (for [`Ask::Lend`]: by the other side).
    pub answer: Sender<Value>,
}

// -- the agent's side ---------------------------------------------------------

/// Makes the socket. What an agent that was killed has left in its place is removed: the caller holds the lock that
/// says that there is no other.
pub fn listen(state_dir: &Path) -> Result<UnixListener> {
    let path = state_dir.join(NAME);
    let at = |e: std::io::Error| Error::from(e).at(format!("can't make the control socket {}", path.display()));
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(at(e)),
        _ => {}
    }
    let short = Reachable::new(state_dir).map_err(at)?;
    let listener = UnixListener::bind(&short.path).map_err(at)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(at)?;
    Ok(listener)
}

/// Takes connections for ever; requests go to `events`.
pub async fn serve<Rm: Remote + Send + 'static>(
    listener: UnixListener,
    events: Sender<Event<Rm>>,
    spawn: impl Fn(smol::future::Boxed<()>),
) {
    let mut id = 0;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                id += 1;
                let (id, events) = (id, events.clone());
                spawn(Box::pin(async move {
                    // A connection that breaks is nothing to anybody else.
                    let _ = one(stream, id, &events).await;
                }));
            }
            // Out of descriptors, say: not at once again.
            Err(_) => _ = smol::Timer::after(Duration::from_secs(1)).await,
        }
    }
}

async fn one<Rm: Remote>(mut stream: smol::net::unix::UnixStream, id: u64, events: &Sender<Event<Rm>>) -> std::io::Result<()> {
    if !is_own(&stream) {
        return Ok(());
    }
    let mut line = Vec::new();
    let mut byte = [0u8; 64];
    while !line.contains(&b'\n') {
        let n = stream.read(&mut byte).await?;
        if n == 0 || line.len() + n > LONGEST {
            return Ok(());
        }
        line.extend_from_slice(&byte[..n]);
    }
    let text = String::from_utf8_lossy(&line);
    let Some(ask) = Ask::parse(text.trim_end()) else {
        let why = json!({"done": false, "why": "the agent does not know this request: it is of another version"});
        return say(&mut stream, &why).await;
    };
    let (answer, answers) = smol::channel::bounded(16);
    if events.send(Event::Asked(Request { ask, id, answer })).await.is_err() {
        return Ok(());
    }
    let told = relay(&mut stream, &answers, ask == Ask::Lend).await;
    if ask == Ask::Lend {
        let _ = events.send(Event::Returned(id)).await;
    }
    told
}

/// Passes answers on. A borrower answers by hanging up, whenever that is.
async fn relay(stream: &mut smol::net::unix::UnixStream, answers: &Receiver<Value>, lent: bool) -> std::io::Result<()> {
    let mut reader = stream.clone();
    let hung_up = async {
        let mut byte = [0u8; 64];
        while reader.read(&mut byte).await? > 0 {}
        Ok(())
    };
    let talk = async {
        while let Ok(v) = answers.recv().await {
            say(stream, &v).await?;
        }
        match lent {
            true => smol::future::pending().await,
            false => Ok(()),
        }
    };
    smol::future::or(talk, hung_up).await
}

async fn say(stream: &mut smol::net::unix::UnixStream, v: &Value) -> std::io::Result<()> {
    stream.write_all(format!("{v}\n").as_bytes()).await
}

/// True if the other end runs as this user (or as root, who can do all of it anyway).
fn is_own(stream: &impl AsFd) -> bool {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let me = rustix::process::geteuid();
        rustix::net::sockopt::socket_peercred(stream).is_ok_and(|c| c.uid == me || c.uid.is_root())
    }
    // Elsewhere the directory's mode keeps others away.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = stream;
        true
    }
}

/// An error as it travels: the first line, the indented ones, the answers, the exit code.
pub fn error_json(e: &Error) -> Value {
    let remedies: Vec<Value> = e.remedies().iter().map(|r| json!([r.purpose, r.command])).collect();
    json!({"what": e.to_string(), "details": e.details(), "remedies": remedies, "exit": e.exit_code()})
}

/// The error that [`error_json`] wrote.
pub fn error_from(v: &Value) -> Option<Error> {
    let kind = match v["exit"].as_u64()? {
        2 => Kind::Usage,
        3 => Kind::Decision,
        4 => Kind::Secret,
        5 => Kind::Unreachable,
        6 => Kind::Integrity(Class::Form),
        _ => Kind::Failed,
    };
    let mut e = Error::new(kind, v["what"].as_str()?);
    for line in v["details"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        e = e.detail(line);
    }
    for r in v["remedies"].as_array().into_iter().flatten() {
        e = e.remedy(r[0].as_str()?, r[1].as_str()?);
    }
    Some(e)
}

// -- the other side ------------------------------------------------------------

/// A connection to the agent.
pub struct Client {
    lines: BufReader<UnixStream>,
}

impl Client {
    /// Connects; `None` if no agent runs.
    pub fn connect(state_dir: &Path) -> Option<Client> {
        let short = Reachable::new(state_dir).ok()?;
        let stream = UnixStream::connect(&short.path).ok()?;
        Some(Client { lines: BufReader::new(stream) })
    }

    /// Sends a request.
    pub fn ask(&mut self, ask: Ask) -> Result<()> {
        self.lines.get_mut().write_all(ask.line().as_bytes()).map_err(|e| gone(&e.to_string()))
    }

    /// The next line of the answer; `None` after `timeout` without one.
    ///
    /// Errors: the agent ended meanwhile.
    pub fn answer(&mut self, timeout: Option<Duration>) -> Result<Option<Value>> {
        self.lines.get_ref().set_read_timeout(timeout.map(|t| t.max(Duration::from_millis(1))))?;
        let mut line = String::new();
        match (&mut self.lines).take(1 << 20).read_line(&mut line) {
            Ok(0) => Err(gone("it hung up")),
            Ok(_) => serde_json::from_str(&line).map(Some).map_err(|e| gone(&e.to_string())),
            Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => Ok(None),
            Err(e) => Err(gone(&e.to_string())),
        }
    }
}

fn gone(why: &str) -> Error {
    Error::new(Kind::Failed, format!("the running sharelock does not answer: {why}"))
}

/// A path to the socket that fits into an address: those are 108 bytes (104 elsewhere), paths are not.
struct Reachable {
    path: PathBuf,
    _dir: Option<std::fs::File>,
}

impl Reachable {
    fn new(state_dir: &Path) -> std::io::Result<Reachable> {
        let path = state_dir.join(NAME);
        if path.as_os_str().len() < 100 {
            return Ok(Reachable { path, _dir: None });
        }
        let dir = std::fs::File::open(state_dir)?;
        let fd = std::os::fd::AsRawFd::as_raw_fd(&dir);
        let path = PathBuf::from(format!("/proc/self/fd/{fd}/{NAME}"));
        match path.parent().is_some_and(Path::exists) {
            true => Ok(Reachable { path, _dir: Some(dir) }),
            false => Err(std::io::Error::other("its path is too long: a shorter XDG_STATE_HOME helps")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::real::Disk;
    use crate::git::local::LocalRemote;

    #[test]
    fn what_is_written_is_read() {
        for ask in [Ask::Status, Ask::Sync, Ask::Wait, Ask::Stop, Ask::Pause(None), Ask::Pause(Some(7_200_000)), Ask::Resume, Ask::Lend] {
            assert_eq!(Ask::parse(ask.line().trim_end()), Some(ask));
        }
        for bad in ["", "status now", "pause -1", "pause 1h", "Stop", "lend\0"] {
            assert_eq!(Ask::parse(bad), None, "{bad}");
        }
    }

    /// A request over a real socket: to a server that answers each with its name and, if lent, hears of the return.
    fn talk(dir: &Path, client: impl FnOnce() + Send + 'static) -> Vec<String> {
        let (tx, rx) = smol::channel::unbounded::<Event<LocalRemote<Disk>>>();
        let listener = smol::block_on(async { listen(dir) }).unwrap();
        let ex = std::sync::Arc::new(smol::Executor::new());
        let spawner = ex.clone();
        let serving = ex.spawn(serve(listener, tx, move |f| spawner.spawn(f).detach()));
        let other = std::thread::spawn(client);
        let mut heard = Vec::new();
        smol::block_on(ex.run(async {
            loop {
                match smol::future::or(async { rx.recv().await.ok() }, async {
                    smol::Timer::after(Duration::from_secs(20)).await;
                    None
                })
                .await
                {
                    Some(Event::Asked(r)) => {
                        heard.push(format!("{:?}", r.ask));
                        r.answer.send(json!({"done": true})).await.unwrap();
                        if r.ask == Ask::Stop {
                            break;
                        }
                    }
                    Some(Event::Returned(_)) => heard.push("returned".into()),
                    _ => break,
                }
            }
        }));
        // The last answer is written by the executor, so it goes on until the client has it.
        smol::block_on(ex.run(smol::unblock(move || other.join()))).unwrap();
        drop(serving);
        heard
    }

    #[test]
    fn an_error_comes_back_whole() {
        let e = Error::new(Kind::Unreachable, "no way").because("snow").detail("nothing was sent").remedy("do", "sharelock wait");
        let back = error_from(&error_json(&e)).unwrap();
        assert_eq!((back.to_string(), back.details(), back.remedies(), back.exit_code()), (e.to_string(), e.details(), e.remedies(), 5));
    }

    #[test]
    fn requests_over_a_socket_of_the_users_own() {
        let tmp = tempfile::tempdir().unwrap();
        let long = tmp.path().join("x".repeat(60)).join("y".repeat(60));
        std::fs::create_dir_all(&long).unwrap();
        for dir in [tmp.path().to_path_buf(), long] {
            assert!(Client::connect(&dir).is_none(), "nobody listens yet");
            let at = dir.clone();
            let heard = talk(&dir, move || {
                let ask = |what| {
                    let mut c = Client::connect(&at).unwrap();
                    c.ask(what).unwrap();
                    assert_eq!(c.answer(Some(Duration::from_secs(20))).unwrap().unwrap()["done"], true);
                    c
                };
                let mode = std::fs::metadata(at.join(NAME)).unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o600);
                drop(ask(Ask::Lend));
                let mut odd = Client::connect(&at).unwrap();
                odd.lines.get_mut().write_all(b"dance\n").unwrap();
                assert_eq!(odd.answer(Some(Duration::from_secs(20))).unwrap().unwrap()["done"], false);
                let mut endless = Client::connect(&at).unwrap();
                let _ = endless.lines.get_mut().write_all(&[b'x'; 4096]);
                assert!(endless.answer(Some(Duration::from_secs(20))).is_err(), "hung up on");
                ask(Ask::Stop);
            });
            assert_eq!(heard[0], "Lend");
            assert!(heard.contains(&"returned".to_string()) && heard.last().unwrap() == "Stop", "{heard:?}");
        }
    }
}
