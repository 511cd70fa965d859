//! A network namespace with two wires to this one: a server in it reaches the database over the one, and its clients reach
//! it over the other, so that the first can be cut alone.
use std::process::{Command, Stdio};

/// The namespace and its wires; gone when this is dropped.
pub struct Network {
    /// Its name.
    pub name: String,
    /// Where the database listens.
    pub database: String,
    /// Where the server in it answers.
    pub server: String,
    wire: String,
}

impl Network {
    /// Makes one; `None` where that is not possible.
    pub fn make() -> Option<Network> {
        if !nix::unistd::geteuid().is_root() {
            return None;
        }
        let id = std::process::id() % 100_000;
        let (name, wire) = (format!("mdg{id}"), format!("mdg{id}d"));
        let net = format!("10.{}.{}", 64 + id / 256 % 128, id % 256);
        let network = Network { name, database: format!("{net}.1"), server: format!("{net}.6"), wire };
        let Network { name, wire, .. } = &network;
        let (clients, inner, other) = (format!("mdg{id}c"), format!("mdg{id}e"), format!("mdg{id}f"));
        let made = [
            format!("netns add {name}"),
            format!("link add {wire} type veth peer name {inner} netns {name}"),
            format!("link add {clients} type veth peer name {other} netns {name}"),
            format!("addr add {net}.1/30 dev {wire}"),
            format!("addr add {net}.5/30 dev {clients}"),
            format!("-n {name} addr add {net}.2/30 dev {inner}"),
            format!("-n {name} addr add {net}.6/30 dev {other}"),
            format!("link set {wire} up"),
            format!("link set {clients} up"),
            format!("-n {name} link set {inner} up"),
            format!("-n {name} link set {other} up"),
            format!("-n {name} link set lo up"),
        ];
        made.iter().all(|words| ip(words)).then_some(network)
    }

    /// Cuts the wire to the database: what is sent is lost, and nobody is told.
    pub fn cut(&self) {
        assert!(ip(&format!("link set {} down", self.wire)), "root may");
    }

    /// Mends it.
    pub fn mend(&self) {
        assert!(ip(&format!("link set {} up", self.wire)), "root may");
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        ip(&format!("link del {}", self.wire));
        ip(&format!("netns del {}", self.name));
    }
}

fn ip(words: &str) -> bool {
    let mut command = Command::new("ip");
    command.args(words.split(' ')).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
