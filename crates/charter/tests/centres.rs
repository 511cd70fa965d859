//! The centre files of the repository, read whole, and this machine added to one of them.
use expect_test::expect;
use madang_charter::{Machine, Order, add_site, describe, load, read};
use madang_model::Device;

const KOREA: &str = include_str!("../../../centres/korea-2025.toml");
const THREE: &str = include_str!("../../../centres/three-sites.toml");
const HERE: &str = include_str!("../../../centres/here.toml");

fn machine() -> Machine {
    let gpu = Device { model: "pretend".into(), memory_mib: 81_920, parts: Default::default() };
    let gpus = vec![gpu.clone(), gpu];
    Machine {
        host: "box.example.org".into(),
        cpus: 4,
        memory_mib: 16_000,
        gpus,
        pretend: true,
        pretend_nodes: 1,
        numa: Vec::new(),
    }
}

#[test]
fn the_plan_of_2025() {
    let charter = read(KOREA, "centres/korea-2025.toml", &machine()).unwrap_or_else(|problems| panic!("{problems}"));
    expect![[r#"
        korea-2025: National AI computing, plan of February 2025 / 국가 AI 컴퓨팅, 2025년 2월 계획
          18,000 GPUs in 3,250 nodes at 2 sites
        site naic (modelled): National AI Computing Centre / 국가 AI컴퓨팅센터
          10,000 GPUs in 1,250 nodes; owners public 51%, private 49%; operator company
          island naic-a: 4,080 GPUs in 510 nodes (16 x leaf, 128 x rack); na001 with 8 x h200 of 143,771 MiB, 112 CPUs, 2,097,152 MiB
          island naic-b: 2,040 GPUs in 255 nodes (8 x leaf, 64 x rack); nb001 with 8 x h200 of 143,771 MiB, 112 CPUs, 2,097,152 MiB
          island naic-c: 2,040 GPUs in 255 nodes (8 x leaf, 64 x rack); nc001 with 8 x h200 of 143,771 MiB, 112 CPUs, 2,097,152 MiB
          island naic-d: 1,584 GPUs in 198 nodes (7 x leaf, 50 x rack); nd001 with 8 x h200 of 143,771 MiB, 112 CPUs, 2,097,152 MiB
          island naic-e: 256 GPUs in 32 nodes (1 x leaf, 8 x rack); ne001 with 8 x h200 of 143,771 MiB, 112 CPUs, 2,097,152 MiB
        site kisti6 (modelled): Sixth national supercomputer / 국가 슈퍼컴퓨터 6호기
          8,000 GPUs in 2,000 nodes; owners public 51%, private 49%; operator kisti
          island kisti6: 8,000 GPUs in 2,000 nodes; ks0001 with 4 x gh200 of 97,871 MiB, 288 CPUs, 450,560 MiB
        parties
          public: Public sector / 공공, 51% of the company
          private: Private sector / 민간, 49% of the company
          company: National AI Computing Centre company / 국가 AI컴퓨팅센터 특수목적법인
          kisti: Korea Institute of Science and Technology Information / 한국과학기술정보연구원
        classes
          national: target 40%, pays 0% of the price
          industry: target 20%, pays 7.5% of the price
          academia: target 30%, pays 0% of the price
          research: target 10%, pays 0% of the price
        prices
          2025-02-20 h200: 6,888 won per GPU-hour
          2025-02-20 gh200: 5,075 won per GPU-hour
        money
          2025-02-20 National AI Computing Centre, in all: 2,000,000,000,000 won
          2025-01-22 Equity of the company, public and private: 400,000,000,000 won
          2025-01-01 Government AI budget of 2025, up 25% on the year: 1,800,000,000,000 won
        partitions
          naic (default): naic; 1h unless asked, 7d at most
          kisti6: kisti6; 1h unless asked, 2d at most
        company shares
          2025-01-22 public 51%: the plan's special-purpose company: a public majority
          2025-01-22 private 49%: the plan's special-purpose company: private investors
        deliveries
          2027-01-01 island naic-a
          2027-01-01 island naic-b
          2027-01-01 island naic-c
          2027-01-01 island naic-d
          2027-01-01 island naic-e
          2026-01-01 island kisti6
        facts
          2025-02-20 Computing capacity planned: 1 exaflop, 2 with private investment (FP64 tensor, dense, peak: 1 exaflop stands for 15,000 H100 in the plan's use)
          2025-02-20 Opening of the National AI Computing Centre: 2027
    "#]].assert_eq(&charter.describe());
    let gpus = |site: &str| -> u32 {
        let site = charter.founding.sites.iter().find(|known| known.name == site).expect("a site of the plan").id;
        charter.founding.nodes.iter().filter(|node| node.site == site).map(|node| node.gpus).sum()
    };
    assert_eq!((gpus("naic"), gpus("kisti6")), (10_000, 8_000));
}

#[test]
fn every_id_is_its_place() {
    let mut founding = load(KOREA, "korea", &machine()).expect("it loads");
    add_site(&mut founding, &machine(), Order::First).expect("nothing is in the way");
    fn dense(ids: impl Iterator<Item = u32>) -> bool {
        ids.enumerate().all(|(place, id)| place as u32 == id)
    }
    assert!(dense(founding.parties.iter().map(|party| party.id.number())));
    assert!(dense(founding.sites.iter().map(|site| site.id.number())));
    assert!(dense(founding.islands.iter().map(|island| island.id.number())));
    assert!(dense(founding.nodes.iter().map(|node| node.id.number())));
    assert!(dense(founding.partitions.iter().map(|partition| partition.id.number())));
    assert!(founding.nodes.iter().all(|node| founding.islands[node.island.index()].site == node.site));
    assert!(founding.sites.iter().all(|site| site.shares.iter().map(|(_, share)| share).sum::<u32>() == 10_000));
}

#[test]
fn this_machine_alone() {
    let founding = load(HERE, "centres/here.toml", &machine()).unwrap_or_else(|problems| panic!("{problems}"));
    expect![[r#"
        here: This machine / 이 컴퓨터
          2 GPUs in 1 node at 1 site
        site here (this machine): This machine / 이 컴퓨터
          2 GPUs in 1 node; owners owner 100%; operator owner
          island here: 2 GPUs in 1 node; box with 2 x pretend of 81,920 MiB, 4 CPUs, 16,000 MiB, pretend
        parties
          owner: Owner of this machine / 이 컴퓨터의 소유자
        classes
          research: target 100%, pays 0% of the price
        partitions
          gpu (default): here; 1h unless asked, 7d at most
          here: here; 1h unless asked, 7d at most
    "#]]
    .assert_eq(&describe(&founding));
}

#[test]
fn this_machine_joins_the_plan() {
    let names = |founding: &madang_model::Founding| -> Vec<String> {
        founding.partitions.iter().map(|partition| partition.name.clone()).collect()
    };
    let mut founding = load(KOREA, "korea", &machine()).expect("it loads");
    add_site(&mut founding, &machine(), Order::First).expect("nothing is in the way");
    assert_eq!(names(&founding), ["gpu", "here", "naic", "kisti6"]);
    let page = describe(&founding);
    let from = page.find("site here").expect("it is described");
    let until = page[from..].find("parties").expect("they come next");
    expect![[r#"
        site here (this machine): This machine / 이 컴퓨터
          2 GPUs in 1 node; owners public 51%, private 49%; operator public
          island here: 2 GPUs in 1 node; box with 2 x pretend of 81,920 MiB, 4 CPUs, 16,000 MiB, pretend
    "#]]
    .assert_eq(&page[from..from + until]);
    let again = add_site(&mut founding, &machine(), Order::Last);
    assert_eq!(again.map_err(|clash| clash.to_string()), Err("the centre has a site named here already".into()));

    let mut founding = load(KOREA, "korea", &machine()).expect("it loads");
    add_site(&mut founding, &machine(), Order::Last).expect("nothing is in the way");
    assert_eq!(names(&founding), ["naic", "kisti6", "gpu", "here"]);
}

#[test]
fn this_machine_as_it_is_found() {
    let nodes = |machine: &Machine| -> String {
        let founding = load(HERE, "here", machine).expect("it loads");
        let node = |node: &madang_model::Node| {
            let device = node.device.as_ref().map_or("none", |device| device.model.as_str());
            let pretend = if node.pretend { " pretend" } else { "" };
            format!("{} {} x {device} {} CPUs{pretend}\n", node.name, node.gpus, node.cpus)
        };
        founding.nodes.iter().map(node).collect()
    };
    let h200 = Device { model: "h200".into(), memory_mib: 143_771, parts: Default::default() };
    let a100 = Device { model: "a100".into(), memory_mib: 81_920, parts: Default::default() };
    let real = Machine { gpus: vec![h200.clone(), h200], pretend: false, ..machine() };
    let mut shown = nodes(&real);
    shown += &nodes(&Machine { gpus: Vec::new(), cpus: 0, host: "한국".into(), ..real.clone() });
    shown +=
        &nodes(&Machine { gpus: vec![real.gpus[0].clone(), a100.clone()], host: "-gpu 1-".into(), ..real.clone() });
    shown += &nodes(&Machine { gpus: vec![a100; 40], host: String::new(), ..real.clone() });
    shown += &nodes(&Machine { pretend_nodes: 2, ..machine() });
    shown += &nodes(&Machine { pretend_nodes: 2, ..real });
    expect![[r#"
        box 2 x h200 4 CPUs
        here 0 x none 1 CPUs
        gpu1- 2 x mixed 4 CPUs
        here 32 x a100 4 CPUs
        here1 2 x pretend 4 CPUs pretend
        here2 2 x pretend 4 CPUs pretend
        here1 2 x h200 4 CPUs pretend
        here2 0 x none 4 CPUs pretend
    "#]]
    .assert_eq(&shown);
}

#[test]
fn three_sites_and_the_lines_between_them() {
    let charter = read(THREE, "centres/three-sites.toml", &machine()).unwrap_or_else(|problems| panic!("{problems}"));
    let page = describe(&charter.founding);
    let from = page.find("links between").expect("there are links");
    expect![[r#"
        links between sites, as hints for where jobs start
          north - middle: 800 ms for a GB
          middle - south: 4000 ms for a GB
        policy, where it is not the default
          failover_after: 10m
    "#]]
    .assert_eq(&page[from..]);
}
