//! The nursery by itself, for tests; the `madang` command has the same under `madang nursery`.
fn main() {
    madang_engine::nursery_main()
}
