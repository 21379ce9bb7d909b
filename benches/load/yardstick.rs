//! What the two servers of this bench have in common: they are this program itself, started by a hidden argument, so
//! that they are measured exactly as the server is, with the same queue of connections.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::getppid;
use socket2::{Domain, Socket, Type};

/// How often both look for new bytes.
pub const READ_INTERVAL: Duration = Duration::from_millis(5);
/// The lines a new viewer gets.
pub const HISTORY: usize = 50;
/// How far before the end of the file these are looked for: more than so many of the longest.
pub const HISTORY_BYTES: u64 = 4 * 1024 * 1024;
/// As long as that of the server, for no storm of connections to be decided by it.
const LISTEN_BACKLOG: i32 = 4096;
const PARENT_LOOK: Duration = Duration::from_millis(500);

/// A listener on a free port, whose sockets don't block.
pub fn listen() -> Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).context("can't make a socket")?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(LISTEN_BACKLOG).context("can't listen")?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Says where it listens, and ends when nobody is there any more who wanted to know.
pub fn announce(name: &str, address: SocketAddr) -> Result<()> {
    println!("{name} listening on http://{address}");
    std::io::stdout().flush()?;
    let parent = getppid();
    thread::Builder::new()
        .name("parent".to_owned())
        .spawn(move || {
            while getppid() == parent {
                thread::sleep(PARENT_LOOK);
            }
            std::process::exit(1);
        })
        .context("can't start a thread")?;
    Ok(())
}
