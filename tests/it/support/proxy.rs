//! A link that can go silent: a proxy that stops to pass anything on, without a word to either side.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Passes connections on to a server; ended with the test.
pub struct Proxy {
    pub address: SocketAddr,
    /// Connections with a lower number are silent.
    silent_below: Arc<AtomicUsize>,
    made: Arc<AtomicUsize>,
}

impl Proxy {
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            silent_below: Arc::default(),
            made: Arc::default(),
        };
        let (silent_below, made) = (Arc::clone(&proxy.silent_below), Arc::clone(&proxy.made));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let number = made.fetch_add(1, Ordering::SeqCst);
                let Ok(server) = TcpStream::connect(server).await else {
                    continue;
                };
                let (client_reads, client_writes) = client.into_split();
                let (server_reads, server_writes) = server.into_split();
                tokio::spawn(pass(client_reads, server_writes, number, Arc::clone(&silent_below)));
                tokio::spawn(pass(server_reads, client_writes, number, Arc::clone(&silent_below)));
            }
        });
        proxy
    }

    /// Nothing is heard any more, on no connection.
    pub fn hold(&self) {
        self.silent_below.store(usize::MAX, Ordering::SeqCst);
    }

    /// What is connected now hears nothing any more.
    pub fn silence(&self) {
        self.silent_below
            .store(self.made.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, number: usize, silent_below: Arc<AtomicUsize>) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) if number < silent_below.load(Ordering::SeqCst) => {}
            Ok(read) => {
                if to.write_all(&buffer[..read]).await.is_err() {
                    return;
                }
            }
        }
    }
}
