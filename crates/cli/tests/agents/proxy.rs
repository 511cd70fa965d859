//! A wire between agents and a server that can be cut and mended, and that keeps all that crosses it.
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// The wire.
#[derive(Clone)]
pub struct Wire {
    /// Where agents dial.
    pub address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    target: SocketAddr,
    is_cut: bool,
    is_dark: bool,
    open: Vec<TcpStream>,
    crossed: Vec<u8>,
}

impl Wire {
    /// A wire to a server's address.
    pub fn to(target: SocketAddr) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let inner = Inner { target, is_cut: false, is_dark: false, open: Vec::new(), crossed: Vec::new() };
        let wire = Wire { address, inner: Arc::new(Mutex::new(inner)) };
        let own = wire.clone();
        std::thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(|stream| own.carry(stream)));
        wire
    }

    fn carry(&self, near: TcpStream) {
        let mut inner = self.inner.lock().expect("nobody panics");
        if inner.is_cut {
            return;
        }
        if inner.is_dark {
            return inner.open.push(near);
        }
        let Ok(far) = TcpStream::connect(inner.target) else { return };
        for (from, to) in [(&near, &far), (&far, &near)] {
            let (from, to) = (from.try_clone().expect("descriptors"), to.try_clone().expect("descriptors"));
            inner.open.push(from.try_clone().expect("descriptors"));
            let own = Arc::clone(&self.inner);
            std::thread::spawn(move || pump(from, to, &own));
        }
    }

    /// Cuts it: what is on its way is lost, nobody comes through.
    pub fn cut(&self) {
        let mut inner = self.inner.lock().expect("nobody panics");
        inner.is_cut = true;
        inner.open.drain(..).for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
    }

    /// Lets nothing through any more, and tells nobody.
    pub fn darken(&self) {
        self.inner.lock().expect("nobody panics").is_dark = true;
    }

    /// Mends it. What was held up in the dark is lost.
    pub fn mend(&self) {
        let mut inner = self.inner.lock().expect("nobody panics");
        if std::mem::take(&mut inner.is_dark) {
            inner.open.drain(..).for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
        }
        inner.is_cut = false;
    }

    /// True if these bytes have crossed it, either way.
    pub fn has_seen(&self, bytes: &[u8]) -> bool {
        self.inner.lock().expect("nobody panics").crossed.windows(bytes.len()).any(|found| found == bytes)
    }

    /// How many bytes have crossed it.
    pub fn crossed(&self) -> usize {
        self.inner.lock().expect("nobody panics").crossed.len()
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, inner: &Mutex<Inner>) {
    let mut buffer = [0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let mut told = inner.lock().expect("nobody panics");
        if told.is_dark {
            continue;
        }
        told.crossed.extend_from_slice(&buffer[..count]);
        drop(told);
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    drop(from.shutdown(Shutdown::Both));
    drop(to.shutdown(Shutdown::Both));
}
