//! Tells when the machine wakes up, its clock is set, or its network changes: times at which to try at once what failed.
//!
//! On Linux both come from the kernel and cost nothing until they happen: a timer that is cancelled when the clock is
//! set, which the end of a suspend does too (timerfd_create(2), `TFD_TIMER_CANCEL_ON_SET`), and the routing socket
//! (rtnetlink(7)). Elsewhere the next poll finds out.

use super::Event;
use crate::git::Remote;
use smol::channel::Sender;

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The clock: it was set, or the machine slept.
    Clock,
    /// An address of this machine came or went.
    Network,
}

/// Sends events as long as somebody listens.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub async fn watch<Rm: Remote>(events: Sender<Event<Rm>>) {
    let clock = async {
        if let Ok(mut timer) = linux::Jump::new() {
            while timer.next().await.is_ok() && events.send(Event::Changed(What::Clock)).await.is_ok() {}
        }
        smol::future::pending::<()>().await;
    };
    let network = async {
        if let Ok(mut routes) = linux::Routes::new() {
            while routes.next().await.is_ok() && events.send(Event::Changed(What::Network)).await.is_ok() {}
        }
        smol::future::pending::<()>().await;
    };
    smol::future::or(clock, network).await;
}

/// Nothing tells it here.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub async fn watch<Rm: Remote>(_: Sender<Event<Rm>>) {
    smol::future::pending::<()>().await;
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod linux {
    use rustix::net::netlink::SocketAddrNetlink;
    use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};
    use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
    use smol::Async;
    use std::io;
    use std::os::fd::OwnedFd;

    /// A timer that never goes off and is cancelled when the clock jumps.
    pub struct Jump(Async<OwnedFd>);

    impl Jump {
        pub fn new() -> io::Result<Jump> {
            let fd = rustix::time::timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
            set(&fd)?;
            Ok(Jump(Async::new_nonblocking(fd)?))
        }

        pub async fn next(&mut self) -> io::Result<()> {
            let read = self.0.read_with(|fd| match rustix::io::read(fd, &mut [0u8; 8]) {
                Err(rustix::io::Errno::CANCELED) => Ok(()),
                Err(e) => Err(e.into()),
                Ok(_) => Ok(()),
            });
            read.await?;
            set(self.0.get_ref())
        }
    }

    fn set(fd: &OwnedFd) -> io::Result<()> {
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        // In the year 2100 it goes off once; that is one look at the nodes too many.
        let far = Itimerspec { it_interval: zero, it_value: Timespec { tv_sec: 4_102_444_800, tv_nsec: 0 } };
        rustix::time::timerfd_settime(fd, TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET, &far)?;
        Ok(())
    }

    /// The routing socket, with its groups for addresses (linux/rtnetlink.h).
    pub struct Routes(Async<OwnedFd>);

    // NETLINK_ROUTE is protocol 0, the one that `None` stands for.
    const RTMGRP_IPV4_IFADDR: u32 = 0x10;
    const RTMGRP_IPV6_IFADDR: u32 = 0x100;

    impl Routes {
        pub fn new() -> io::Result<Routes> {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let fd = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
            rustix::net::bind(&fd, &SocketAddrNetlink::new(0, RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR))?;
            Ok(Routes(Async::new_nonblocking(fd)?))
        }

        /// What the messages say does not matter: they are read away.
        pub async fn next(&mut self) -> io::Result<()> {
            let mut buf = [0u8; 8192];
            self.0
                .read_with(|fd| {
                    rustix::net::recv(fd, &mut buf[..], RecvFlags::empty()).map(|_| ()).or_else(|e| match e {
                        rustix::io::Errno::NOBUFS => Ok(()), // Too many changes at once: a change all the same.
                        e => Err(e.into()),
                    })
                })
                .await?;
            while rustix::net::recv(self.0.get_ref(), &mut buf[..], RecvFlags::empty()).is_ok() {}
            Ok(())
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use std::time::Duration;

        #[test]
        fn neither_wakes_anybody_while_nothing_happens() {
            smol::block_on(async {
                let (mut jump, mut routes) = (Jump::new().unwrap(), Routes::new().unwrap());
                let woken = async { smol::future::or(jump.next(), routes.next()).await.is_ok() };
                let idle = async {
                    smol::Timer::after(Duration::from_millis(300)).await;
                    false
                };
                assert!(!smol::future::or(woken, idle).await);
            });
        }
    }
}
