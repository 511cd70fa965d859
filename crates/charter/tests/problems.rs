//! What is said of files that are wrong: one small sound file, and each case one change to it.
use expect_test::{Expect, expect};
use madang_charter::{Machine, load};
use madang_model::EngineKind;

const SOUND: &str = r#"[centre]
name = "small"
title = "Small"
founded = 2025-02-20

[[party]]
name = "public"
title = "Public"
share = [{ from = 2025-01-01, share = "51%", reason = "r", approver = "a", source = "s" }]

[[party]]
name = "private"
title = "Private"
share = [{ from = 2025-01-01, share = "49%", reason = "r", approver = "a", source = "s" }]

[[class]]
name = "research"
target = "100%"
rate = "7.5%"
source = "s"

[[site]]
name = "one"
title = "One"
operator = "public"
engine = "model"
shares = { public = "51%", private = "49%" }
source = "s"

[[site.island]]
name = "a"
nodes = 4
names = "n{1}"
nodes_per_rack = 2
gpus_per_node = 8
gpu = "h200"
gpu_memory = "141 GiB"
cpus_per_node = 64
memory_per_node = "1 TiB"

[[price]]
gpu = "h200"
from = 2025-02-20
won_per_gpu_hour = 5_000
source = "s"

[[money]]
title = "In all"
won = 2_000
from = 2025-02-20
source = "s"

[[partition]]
name = "gpu"
sites = ["one"]
max_limit = "7d"
default_limit = "1h"
"#;

const ISLAND_B: &str = r#"
[[site.island]]
name = "b"
nodes = 4
names = "n{3}"
nodes_per_rack = 2
gpus_per_node = 0
cpus_per_node = 64
memory_per_node = "1 TiB"

[[price]]"#;

fn machine() -> Machine {
    Machine {
        host: "box".into(),
        cpus: 4,
        memory_mib: 16_000,
        gpus: Vec::new(),
        pretend: false,
        pretend_nodes: 1,
        numa: Vec::new(),
    }
}

fn said(text: &str) -> String {
    match load(text, "x.toml", &machine()) {
        Ok(_) => "nothing is wrong".into(),
        Err(problems) => problems.to_string(),
    }
}

/// For each change of the sound file, what is said.
fn check(changes: &[(&str, &str)], expected: Expect) {
    let mut shown = String::new();
    for (from, to) in changes {
        assert!(SOUND.contains(from), "the sound file has {from}");
        let to_line = to.trim().split('\n').next().filter(|line| !line.is_empty()).unwrap_or("nothing");
        shown += &format!("{} > {to_line}\n", from.trim());
        shown += &said(&SOUND.replacen(from, to, 1));
        shown += "\n\n";
    }
    expected.assert_eq(&shown);
}

#[test]
fn the_sound_file_is_sound() {
    assert_eq!(said(SOUND), "nothing is wrong");
}

#[test]
fn shape() {
    check(
        &[
            ("[centre]", "[centre"),
            ("name = \"small\"", ""),
            ("name = \"small\"", "nmae = \"small\""),
            ("name = \"small\"", "name = \"Small Centre\""),
            ("name = \"small\"", "name = 7"),
            ("title = \"Small\"", "title = \"\""),
            ("title = \"Small\"", "title = \"a\\nb\""),
            ("name = \"small\"", "name = \"small\"\n\"\\u001b[31m\" = 1"),
            ("[[price]]", "[[prize]]"),
            ("[[price]]", "[price]"),
            ("[[class]]", "[[quite_other]]"),
            ("sites = [\"one\"]", "sites = \"one\""),
            ("sites = [\"one\"]", "sites = []"),
            ("shares = { public = \"51%\", private = \"49%\" }", "shares = \"51%\""),
            ("engine = \"model\"", "engine = \"kubernetes\""),
            ("rate = \"7.5%\"", "rate = 7.5"),
            ("rate = \"7.5%\"", "rate = \"7.555%\""),
            ("rate = \"7.5%\"", "rate = \"-7.5%\""),
            ("founded = 2025-02-20", "founded = \"2025-02-20\""),
            ("founded = 2025-02-20", "founded = 2025-02-30"),
            ("founded = 2025-02-20", "founded = 1969-02-20"),
            ("founded = 2025-02-20", "founded = 2025-02-20T09:00:00"),
            ("max_limit = \"7d\"", "max_limit = \"7 weeks\""),
            ("max_limit = \"7d\"", "max_limit = \"0d\""),
            ("\"141 GiB\"", "\"141 GB\""),
            ("\"141 GiB\"", "\"999999 TiB\""),
            ("won = 2_000", "won = -1"),
            ("won = 2_000", "won = 99999999999999999999999999999"),
            ("won = 2_000", "won = 2e12"),
            ("nodes = 4", "nodes = 0"),
            ("nodes = 4", "nodes = 200_001"),
            ("nodes = 4", "nodes = \"this computer\""),
            ("gpus_per_node = 8", "gpus_per_node = 33"),
            ("names = \"n{1}\"", "names = \"n1\""),
            ("names = \"n{1}\"", "names = \"n {1}\""),
            ("names = \"n{1}\"", "names = \"n[1-3],m[07\""),
            ("names = \"n{1}\"", "names = \"n[1-3],m[07-08]\""),
        ],
        expect![[r#"
            [centre] > [centre
            x.toml:1:8: not TOML: unclosed table, expected `]`

            name = "small" > nothing
            x.toml:1:1: missing key name in centre

            name = "small" > nmae = "small"
            x.toml:1:1: missing key name in centre
            x.toml:2:1: unknown key nmae in centre
              hint: did you mean name?

            name = "small" > name = "Small Centre"
            x.toml:2:8: name cannot be "Small Centre"
              hint: a name is a lower-case letter, then up to 31 lower-case letters, digits, hyphens or underscores

            name = "small" > name = 7
            x.toml:2:8: name must be text, not a whole number

            title = "Small" > title = ""
            x.toml:3:9: title is empty

            title = "Small" > title = "a\nb"
            x.toml:3:9: title has a line break or another control character

            name = "small" > name = "small"
            x.toml:3:1: unknown key "\u{1b}[31m" in centre
              hint: known here: name, title, title_ko, founded

            [[price]] > [[prize]]
            x.toml:41:3: unknown key prize
              hint: did you mean price?

            [[price]] > [price]
            x.toml:41:1: price is not a list of tables
              hint: write [[price]]

            [[class]] > [[quite_other]]
            x.toml:1:1: missing table class
            x.toml:16:3: unknown key quite_other
              hint: known here: centre, party, class, site, price, money, fact, link, partition, policy

            sites = ["one"] > sites = "one"
            x.toml:55:9: sites is not a list
              hint: write sites = ["…"]

            sites = ["one"] > sites = []
            x.toml:55:9: sites is empty

            shares = { public = "51%", private = "49%" } > shares = "51%"
            x.toml:27:10: shares is not a table
              hint: write shares = { … }

            engine = "model" > engine = "kubernetes"
            x.toml:26:10: engine cannot be "kubernetes"
              hint: "model" for a modelled site, "local" for this machine, "slurm" for a Slurm cluster, "agent" for a site whose agent dials in

            rate = "7.5%" > rate = 7.5
            x.toml:19:8: rate must be a percentage, not a number with a point
              hint: write it in quotes, as "51%"

            rate = "7.5%" > rate = "7.555%"
            x.toml:19:8: rate is not a percentage: "7.555%"
              hint: write it as "51%" or "15.8%"

            rate = "7.5%" > rate = "-7.5%"
            x.toml:19:8: rate is not a percentage: "-7.5%"
              hint: write it as "51%" or "15.8%"

            founded = 2025-02-20 > founded = "2025-02-20"
            x.toml:4:11: founded must be a date, not text
              hint: write it without quotes, as 2025-02-20

            founded = 2025-02-20 > founded = 2025-02-30
            x.toml:4:11: not TOML: invalid date, expected day between 01 and 28

            founded = 2025-02-20 > founded = 1969-02-20
            x.toml:4:11: founded is not a date from 1970 on: 1969-02-20
              hint: write it as 2025-02-20

            founded = 2025-02-20 > founded = 2025-02-20T09:00:00
            x.toml:4:11: founded has a time of day but no offset: 2025-02-20T09:00:00
              hint: write a date alone, or add Z or +09:00

            max_limit = "7d" > max_limit = "7 weeks"
            x.toml:56:13: max_limit is not a length of time: "7 weeks"
              hint: write it as "30m", "12h" or "7d"

            max_limit = "7d" > max_limit = "0d"
            x.toml:56:13: max_limit is out of range: "0d"
              hint: from 1s to 3650d

            "141 GiB" > "141 GB"
            x.toml:37:14: gpu_memory is not an amount of memory: "141 GB"
              hint: write it as "512 GiB"

            "141 GiB" > "999999 TiB"
            x.toml:37:14: gpu_memory is out of range: "999999 TiB"
              hint: from 1 MiB to 64 TiB

            won = 2_000 > won = -1
            x.toml:49:7: won is out of range: -1
              hint: from 0 to 1000000000000000

            won = 2_000 > won = 99999999999999999999999999999
            x.toml:49:7: won is out of range: 999999999999… (29 digits)
              hint: from 0 to 1000000000000000

            won = 2_000 > won = 2e12
            x.toml:49:7: won must be a whole number, not a number with a point

            nodes = 4 > nodes = 0
            x.toml:32:9: nodes is out of range: 0
              hint: from 1 to 200000

            nodes = 4 > nodes = 200_001
            x.toml:32:9: nodes is out of range: 200001
              hint: from 1 to 200000

            nodes = 4 > nodes = "this computer"
            x.toml:32:9: nodes must be a number of nodes or "this machine", not text

            gpus_per_node = 8 > gpus_per_node = 33
            x.toml:35:17: gpus_per_node is out of range: 33
              hint: from 0 to 32

            names = "n{1}" > names = "n1"
            x.toml:33:9: names is not a pattern for host names: "n1"
              hint: put the first node's number in braces, as "na{0001}"

            names = "n{1}" > names = "n {1}"
            x.toml:33:9: names is not a pattern for host names: "n {1}"
              hint: put the first node's number in braces, as "na{0001}"

            names = "n{1}" > names = "n[1-3],m[07"
            x.toml:33:9: names is not a list of host names: "n[1-3],m[07"
              hint: write it as Slurm does, as "a[01-03,7],b[2]"

            names = "n{1}" > names = "n[1-3],m[07-08]"
            x.toml:33:9: names 5 nodes, and island a has 4
              hint: list every node once

        "#]],
    );
}

#[test]
fn sense() {
    check(
        &[
            ("operator = \"public\"", "operator = \"publik\""),
            ("operator = \"public\"", "operator = \"nobody\""),
            ("public = \"51%\", private", "public = \"50.5%\", private"),
            ("public = \"51%\", private", "public = \"51%\", privat"),
            ("share = \"51%\", reason", "share = \"29%\", reason"),
            ("from = 2025-01-01, share = \"51%\"", "from = 2025-01-02, share = \"51%\""),
            ("founded = 2025-02-20", "founded = 2024-12-31"),
            ("founded = 2025-02-20", ""),
            ("name = \"private\"", "name = \"public\""),
            ("target = \"100%\"", "target = \"90%\""),
            ("sites = [\"one\"]", "sites = [\"two\"]"),
            ("sites = [\"one\"]", "sites = [\"one\", \"one\"]"),
            ("default_limit = \"1h\"", "default_limit = \"8d\""),
            ("gpu = \"h200\"\ngpu_memory", "gpu_memory"),
            ("gpus_per_node = 8", "gpus_per_node = 0"),
            ("engine = \"model\"", "engine = \"local\""),
            ("gpu = \"h200\"\nfrom", "gpu = \"h100\"\nfrom"),
            ("\n[[price]]", ISLAND_B),
            ("\n[[price]]", &ISLAND_B.replace("\"b\"", "\"a\"").replace("{3}", "{5}")),
            ("\n[[price]]", &ISLAND_B.replace("nodes = 4", "nodes = 199_997").replace("{3}", "{5}")),
            (
                "\n[[money]]",
                "\n[[price]]\ngpu = \"h200\"\nfrom = 2025-02-20\nwon_per_gpu_hour = 1\nsource = \"s\"\n[[money]]",
            ),
        ],
        expect![[r#"
            operator = "public" > operator = "publik"
            x.toml:25:12: there is no party named "publik"
              hint: did you mean public?

            operator = "public" > operator = "nobody"
            x.toml:25:12: there is no party named "nobody"
              hint: known: private, public

            public = "51%", private > public = "50.5%", private
            x.toml:27:12: owners' shares of site one sum to 99.5%, not 100%

            public = "51%", private > public = "51%", privat
            x.toml:27:28: there is no party named "privat"
              hint: did you mean private?

            share = "51%", reason > share = "29%", reason
            x.toml:14:19: company shares in force from 2025-01-01 sum to 78%, not 100%

            from = 2025-01-01, share = "51%" > from = 2025-01-02, share = "51%"
            x.toml:14:19: company shares in force from 2025-01-01 sum to 49%, not 100%

            founded = 2025-02-20 > founded = 2024-12-31
            x.toml:4:11: no company share is in force on 2024-12-31, the first is from 2025-01-01

            founded = 2025-02-20 > nothing
            x.toml:1:1: missing key founded in centre, the day whose company shares are in force
              hint: write founded = 2025-01-01

            name = "private" > name = "public"
            x.toml:12:8: another party is named public
            x.toml:27:28: there is no party named "private"
              hint: known: public

            target = "100%" > target = "90%"
            x.toml:18:10: class targets sum to 90%, not 100%

            sites = ["one"] > sites = ["two"]
            x.toml:55:10: there is no site named "two"
              hint: known: one

            sites = ["one"] > sites = ["one", "one"]
            x.toml:55:17: partition gpu names site one twice

            default_limit = "1h" > default_limit = "8d"
            x.toml:57:17: default_limit 8d is longer than max_limit 7d

            gpu = "h200"
            gpu_memory > gpu_memory
            x.toml:35:17: nodes with 8 GPUs do not say of which kind
              hint: add gpu = "h200" and gpu_memory = "143771 MiB", or what they are

            gpus_per_node = 8 > gpus_per_node = 0
            x.toml:35:17: nodes without GPUs have a kind of GPU
              hint: leave out gpu and gpu_memory

            engine = "model" > engine = "local"
            x.toml:22:1: site one is local, so it has one island with nodes = "this machine"
              hint: a site that is described has engine = "model"

            gpu = "h200"
            from > gpu = "h100"
            x.toml:36:7: there is no price for h200
              hint: add a [[price]]; priced are h100

            [[price]] > [[site.island]]
            x.toml:44:9: island a has a node named n3 too
              hint: node names are unique in the centre

            [[price]] > [[site.island]]
            x.toml:42:8: another island is named a

            [[price]] > [[site.island]]
            x.toml:43:9: the centre has more than 200000 nodes with island b

            [[money]] > [[price]]
            x.toml:49:8: h200 has two prices from 2025-02-20

        "#]],
    );
}

#[test]
fn this_machine_where_it_cannot_be() {
    let island = SOUND.find("[[site.island]]").expect("in the file");
    let price = SOUND.find("[[price]]").expect("in the file");
    let here = "[[site.island]]\nname = \"a\"\nnodes = \"this machine\"\n";
    let text = format!("{}{here}{}", &SOUND[..island], &SOUND[price..]);
    expect![[r#"
        x.toml:30:1: island a is this machine, but site one is modelled
          hint: a site of this machine has engine = "local""#]]
    .assert_eq(&said(&text));
    let local = text.replace("engine = \"model\"", "engine = \"local\"");
    assert_eq!(said(&local), "nothing is wrong");
    expect![[r#"
        x.toml:32:1: unknown key gpus_per_node in site[0].island[0]
          hint: known here: name, nodes, shards_per_gpu, gpu_profiles, spares"#]]
    .assert_eq(&said(&local.replace("nodes = \"this", "gpus_per_node = 8\nnodes = \"this")));
    let site = "[[site]]\nname = \"two\"\ntitle = \"Two\"\noperator = \"public\"\nengine = \"local\"\n\
                shares = { public = \"100%\" }\nsource = \"s\"\n[[site.island]]\nname = \"c\"\n\
                nodes = \"this machine\"\n\n[[price]]";
    expect!["x.toml:37:10: site two is local, and so is site one: there is one machine here"]
        .assert_eq(&said(&local.replace("[[price]]", site)));
}

#[test]
fn all_problems_are_told_in_the_order_of_the_file() {
    let text = SOUND.replace("operator = \"public\"", "operator = \"publik\"").replace("[\"one\"]", "[\"oen\"]");
    let text = text.replace("target = \"100%\"", "target = \"99.99%\"");
    expect![[r#"
        x.toml:18:10: class targets sum to 99.99%, not 100%
        x.toml:25:12: there is no party named "publik"
          hint: did you mean public?
        x.toml:55:10: there is no site named "oen"
          hint: known: one"#]]
    .assert_eq(&said(&text));
    let problems = load(&text, "x.toml", &machine()).expect_err("it is wrong").0;
    let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
    expect!["class[0].target site[0].operator partition[0].sites[0]"].assert_eq(&paths.join(" "));
}

#[test]
fn a_great_many_problems_are_counted() {
    let text = SOUND.replace("[centre]", &(0..1000).map(|number| format!("k{number} = 1\n")).collect::<String>());
    let problems = load(&text, "x.toml", &machine()).expect_err("it is wrong").0;
    assert_eq!(problems.len(), 101);
    expect!["x.toml:100:1: and 904 more problems from here on"].assert_eq(&problems[100].to_string());
}

#[test]
fn nothing_at_all() {
    expect![[r#"
        x.toml:1:1: missing table centre
        x.toml:1:1: missing table party
        x.toml:1:1: missing table class
        x.toml:1:1: missing table site
        x.toml:1:1: missing table partition"#]]
    .assert_eq(&said(""));
    expect!["x.toml:1:1: the file has 5242880 bytes, a centre file at most 1048576"]
        .assert_eq(&said(&" ".repeat(5 << 20)));
}

#[test]
fn trees() {
    let levels = |text: &str| format!("nodes_per_rack = 2\nlevels = [{text}]\n");
    let trees = [
        r#"{ name = "leaf", nodes = 4 }"#,
        r#"{ name = "leaf", nodes = 3 }"#,
        r#"{ name = "leaf", sizes = [2, 2] }"#,
        r#"{ name = "leaf", sizes = [2, 1] }"#,
        r#"{ name = "leaf", sizes = [1, 3] }"#,
        r#"{ name = "rack", nodes = 4 }"#,
        r#"{ name = "island", nodes = 4 }"#,
        r#"{ name = "leaf" }"#,
        r#"{ name = "leaf", nodes = 2, sizes = [2, 2] }"#,
        r#"{ name = "pod", nodes = 4 }, { name = "leaf", nodes = 2 }"#,
        r#"{ name = "leaf", nodes = 0 }"#,
        r#"{ name = "leaf", switch = 4 }"#,
    ]
    .map(levels);
    let mut changes: Vec<(&str, &str)> = trees.iter().map(|text| ("nodes_per_rack = 2\n", text.as_str())).collect();
    changes.push((
        "nodes_per_rack = 2\n",
        "levels = [{ name = \"nvlink\", nodes = 2 }, { name = \"rack\", nodes = 4 }]\n",
    ));
    changes.push(("nodes_per_rack = 2\n", "levels = []\n"));
    changes.push(("gpus_per_node = 8\n", "gpus_per_node = 8\ngpus_per_numa = 3\n"));
    changes.push(("gpus_per_node = 8\n", "gpus_per_node = 8\ngpus_per_numa = 4\n"));
    let mut shown = String::new();
    for (from, to) in changes {
        shown += &format!("{}\n{}\n\n", to.trim().lines().last().unwrap_or(""), said(&SOUND.replacen(from, to, 1)));
    }
    expect![[r#"
        levels = [{ name = "leaf", nodes = 4 }]
        nothing is wrong

        levels = [{ name = "leaf", nodes = 3 }]
        x.toml:35:20: a leaf would begin at node 4 of the island, within a rack
          hint: levels go from the bottom up, and each holds whole domains of the one below

        levels = [{ name = "leaf", sizes = [2, 2] }]
        nothing is wrong

        levels = [{ name = "leaf", sizes = [2, 1] }]
        x.toml:35:37: the sizes of level leaf add up to 3, the island has 4 nodes
          hint: list every domain of the level, in the order of the nodes

        levels = [{ name = "leaf", sizes = [1, 3] }]
        x.toml:35:20: a leaf would begin at node 2 of the island, within a rack
          hint: levels go from the bottom up, and each holds whole domains of the one below

        levels = [{ name = "rack", nodes = 4 }]
        x.toml:35:20: a level cannot be called rack here
          hint: each level has a name of its own; `island` is the island, `rack` is what nodes_per_rack makes

        levels = [{ name = "island", nodes = 4 }]
        x.toml:35:20: a level cannot be called island here
          hint: each level has a name of its own; `island` is the island, `rack` is what nodes_per_rack makes

        levels = [{ name = "leaf" }]
        x.toml:35:20: level leaf must say either nodes or sizes
          hint: nodes = 32 for equal domains, sizes = [11, 1, 6] for unequal ones

        levels = [{ name = "leaf", nodes = 2, sizes = [2, 2] }]
        x.toml:35:20: level leaf must say either nodes or sizes
          hint: nodes = 32 for equal domains, sizes = [11, 1, 6] for unequal ones

        levels = [{ name = "pod", nodes = 4 }, { name = "leaf", nodes = 2 }]
        x.toml:35:49: a leaf would begin at node 3 of the island, within a pod
          hint: levels go from the bottom up, and each holds whole domains of the one below

        levels = [{ name = "leaf", nodes = 0 }]
        x.toml:35:36: nodes is out of range: 0
          hint: from 1 to 100000

        levels = [{ name = "leaf", switch = 4 }]
        x.toml:35:28: unknown key switch in site[0].island[0].levels[0]
          hint: known here: name, nodes, sizes

        levels = [{ name = "nvlink", nodes = 2 }, { name = "rack", nodes = 4 }]
        nothing is wrong

        levels = []
        x.toml:30:1: missing key nodes_per_rack in site[0].island[0]

        gpus_per_numa = 3
        x.toml:36:17: gpus_per_numa 3 does not divide the 8 GPUs of a node
          hint: gpus_per_numa = 4 for eight GPUs on two processors

        gpus_per_numa = 4
        nothing is wrong

    "#]]
    .assert_eq(&shown);
}

const POLICY: &str = r#"
[policy]
half_life = "7 days"
promises = 1
reclaim = false
grace = "30s"
victims = "youngest"
reason = "r"
approver = "a"

[[policy.lending]]
owner = "private"
keep = "10%"
borrow = "50%"
"#;

#[test]
fn a_policy_is_part_of_the_founding() {
    let founding = load(&format!("{SOUND}{POLICY}"), "x.toml", &machine()).expect("it is sound");
    let page = madang_charter::describe(&founding);
    let said = &page[page.find("policy").expect("it is described")..];
    expect![[r#"
        policy, where it is not the default
          half_life: 7d
          promises: 1
          reclaim: false
          victims: youngest
          grace: 30s
          private keeps 10% of its guarantee unlent, borrows 50% above it
    "#]]
    .assert_eq(said);
    assert!(!madang_charter::describe(&load(SOUND, "x.toml", &machine()).expect("it is sound")).contains("policy"));
}

#[test]
fn policies() {
    let mut shown = String::new();
    for (from, to) in [
        ("half_life = \"7 days\"", "half_life = \"7 weeks\""),
        ("half_life = \"7 days\"", "half_life = 7"),
        ("half_life = \"7 days\"", "halflife = \"7 days\""),
        ("promises = 1", "promises = -1"),
        ("promises = 1", "promises = 1.5"),
        ("reclaim = false", "reclaim = \"perhaps\""),
        ("victims = \"youngest\"", "victims = \"poorest\""),
        ("reason = \"r\"", "# reason"),
        ("owner = \"private\"", "owner = \"privat\""),
        ("keep = \"10%\"", "keep = \"101%\""),
        ("[[policy.lending]]", "[policy.lending]"),
        ("[[policy.lending]]", "[[policy.lending]]\nowner = \"private\"\n\n[[policy.lending]]"),
    ] {
        assert!(POLICY.contains(from), "the policy has {from}");
        let text = format!("{SOUND}{}", POLICY.replacen(from, to, 1));
        shown += &format!("{from} > {}\n{}\n\n", to.split('\n').next().unwrap_or(""), said(&text));
    }
    expect![[r#"
        half_life = "7 days" > half_life = "7 weeks"
        x.toml:60:13: half_life cannot be "7 weeks"
          hint: a length of time from "1 hour" to "3650 days"

        half_life = "7 days" > half_life = 7
        x.toml:60:13: half_life cannot be "7"
          hint: a length of time from "1 hour" to "3650 days"

        half_life = "7 days" > halflife = "7 days"
        x.toml:60:1: unknown key halflife in policy
          hint: did you mean half_life?

        promises = 1 > promises = -1
        x.toml:61:12: promises cannot be "-1"
          hint: from 0 to 1000

        promises = 1 > promises = 1.5
        x.toml:61:12: promises is neither text, nor a whole number, nor true or false
          hint: from 0 to 1000

        reclaim = false > reclaim = "perhaps"
        x.toml:62:11: reclaim cannot be "perhaps"
          hint: true or false

        victims = "youngest" > victims = "poorest"
        x.toml:64:11: victims cannot be "poorest"
          hint: least-lost, youngest or largest

        reason = "r" > # reason
        x.toml:59:1: missing key reason in policy

        owner = "private" > owner = "privat"
        x.toml:69:9: there is no party named "privat"
          hint: did you mean private?

        keep = "10%" > keep = "101%"
        x.toml:70:8: keep is more than 100%

        [[policy.lending]] > [policy.lending]
        x.toml:68:1: lending is not a list of tables
          hint: write [[policy.lending]]

        [[policy.lending]] > [[policy.lending]]
        x.toml:72:9: private has two entries on lending
          hint: write keep and borrow in one

    "#]]
    .assert_eq(&shown);
}

#[test]
fn a_site_on_slurm() {
    let with = |lines: &str| {
        let text = SOUND.replace("engine = \"model\"", "engine = \"slurm\"");
        text.replacen("[[site.island]]", &format!("{lines}\n\n[[site.island]]"), 1)
    };
    let check = |lines: &str, want: Expect| want.assert_eq(&said(&with(lines)));
    let sound = "[site.slurm]\npartition = \"gpu\"\nspool = \"/shared/madang\"\nmode = \"placed\"";
    check(sound, expect!["nothing is wrong"]);
    check("", expect!["x.toml:22:1: missing table slurm in site[0]"]);
    check(
        "[site.slurm]\npartition = \"g pu\"\nspool = \"shared\"",
        expect![[r#"
        x.toml:31:13: partition is not a name of Slurm's: "g pu"
        x.toml:32:9: spool is not a path from the root: "shared"
          hint: letters, digits and /._-+@=: only, 200 at most"#]],
    );
    check(
        &sound.replace("placed", "delegated"),
        expect![[r#"
        x.toml:33:8: mode cannot be "delegated" yet
          hint: mode = "placed": the core chooses the nodes"#]],
    );
    check(&format!("{sound}\ncarry = \"no\""), expect!["x.toml:34:9: carry must be true or false, not text"]);
    expect![[r#"
        x.toml:35:1: island a shares or cuts GPUs, and Slurm hands out whole ones
          hint: leave out shards_per_gpu and gpu_profiles"#]]
    .assert_eq(&said(&with(sound).replace("cpus_per_node", "shards_per_gpu = 4\ncpus_per_node")));
    let founding = load(&with(sound), "x.toml", &machine()).expect("sound");
    assert!(madang_charter::describe(&founding).contains("site one (Slurm, partition gpu)"));
    let carries = |lines: &str| match &load(&with(lines), "x.toml", &machine()).expect("sound").sites[0].engine {
        EngineKind::Slurm(slurm) => slurm.carry,
        other => panic!("{other:?}"),
    };
    assert!(carries(sound) && !carries(&format!("{sound}\ncarry = false")));
}

#[test]
fn parts_of_gpus() {
    let with = |lines: &str| SOUND.replace("cpus_per_node", &format!("{lines}\ncpus_per_node"));
    let check = |lines: &str, want: Expect| want.assert_eq(&said(&with(lines)));
    check("shards_per_gpu = 4\ngpu_profiles = [\"all\", \"1g.18gb\"]", expect!["nothing is wrong"]);
    check(
        "shards_per_gpu = 0",
        expect![[r#"
        x.toml:38:18: shards_per_gpu is out of range: 0
          hint: from 1 to 1000"#]],
    );
    check(
        "gpu_profiles = [\"1g.10gb\"]",
        expect![[r#"
        x.toml:38:17: "1g.10gb" is no profile of h200 with 144384 MiB
          hint: its profiles are 1g.18gb, 1g.35gb, 2g.35gb, 3g.71gb, 4g.71gb, 7g.141gb"#]],
    );
    check(
        "gpu_profiles = [\"large\"]",
        expect![[r#"
        x.toml:38:17: gpu_profiles[0] is not a profile: "large"
          hint: write it as "1g.18gb", or "all""#]],
    );
    let local = SOUND.replace("engine = \"model\"", "engine = \"local\"");
    let (from, until) = (local.find("nodes = 4").expect("it is there"), local.find("[[price]]").expect("it is there"));
    let local = format!("{}nodes = \"this machine\"\ngpu_profiles = [\"all\"]\n\n{}", &local[..from], &local[until..]);
    expect![[r#"
        x.toml:33:17: names slices of this machine's GPUs, which are not found and handed out here
          hint: shards_per_gpu lets jobs share them"#]]
    .assert_eq(&said(&local));

    let founding = load(&with("shards_per_gpu = 8\ngpu_profiles = [\"all\"]"), "x.toml", &machine()).expect("sound");
    let parts = &founding.nodes[0].device.as_ref().expect("it has GPUs").parts;
    let names: Vec<&str> = parts.profiles.iter().map(|profile| profile.name.as_str()).collect();
    assert_eq!((parts.shards, names.join(" ").as_str()), (8, "1g.18gb 1g.35gb 2g.35gb 3g.71gb 4g.71gb 7g.141gb"));
    let page = madang_charter::describe(&founding);
    assert!(page.contains("shared by 8 shards or cut into 1g.18gb"), "{page}");
}

#[test]
fn lines_between_sites() {
    let site = &SOUND[SOUND.find("[[site]]").expect("a site")..SOUND.find("[[price]]").expect("a price")];
    let second = site.replace("\"one\"", "\"two\"").replace("\"a\"", "\"b\"").replace("n{1}", "m{1}");
    let with = |links: &str| {
        let link = |line: &str| format!("[[link]]\n{}\nsource = \"s\"\n\n", line.replace("; ", "\n"));
        let links: String = links.split(" / ").map(link).collect();
        SOUND.replace("[[price]]", &format!("{second}{links}[[price]]"))
    };
    let check = |links: &str, want: Expect| want.assert_eq(&said(&with(links)));
    check("between = [\"two\", \"one\"]; ms_per_gb = 800", expect!["nothing is wrong"]);
    check(
        "between = [\"one\"]; ms_per_gb = 800",
        expect![[r#"
        x.toml:60:1: a link is between two sites, this one names 1
          hint: between = ["one", "other"]"#]],
    );
    check(
        "between = [\"one\", \"one\"]; ms_per_gb = 800",
        expect!["x.toml:60:1: a link is between two sites, this one between one and itself"],
    );
    check(
        "between = [\"one\", \"tow\"]; ms_per_gb = 0",
        expect![[r#"
        x.toml:62:13: ms_per_gb is out of range: 0
          hint: from 1 to 3600000"#]],
    );
    let twice = "between = [\"one\", \"two\"]; ms_per_gb = 8 / between = [\"two\", \"one\"]; ms_per_gb = 9";
    check(twice, expect!["x.toml:65:1: another link is between these sites"]);
}
