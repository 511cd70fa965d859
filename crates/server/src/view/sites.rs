//! Many sites, in words: how each of a job's sites stands, and what is known of a lost one.
use crate::estate::Estate;
use madang_api::{LostView, SiteStandingView};
use madang_centre::{Centre, SiteStanding, Verdict};
use madang_model::{Job, Site, Time};

/// How each of a job's sites stands, the best first; nothing for a job of one site.
pub fn standings(centre: &Centre, estate: &Estate, job: &Job) -> Vec<SiteStandingView> {
    if job.spec.request.sites.len() < 2 {
        return Vec::new();
    }
    let list = centre.site_standings(job);
    list.iter().map(|standing| view(standing, &estate.founding.sites[standing.site.index()].name)).collect()
}

fn view(standing: &SiteStanding, site: &str) -> SiteStandingView {
    let (word, text, text_ko) = words(standing);
    SiteStandingView {
        site: site.to_owned(),
        rank: standing.rank,
        data_secs: standing.delay.secs(),
        won_per_hour: standing.won,
        verdict: word.to_owned(),
        text,
        text_ko,
    }
}

fn words(standing: &SiteStanding) -> (&'static str, String, String) {
    let (data, won) = (standing.delay, standing.won.unwrap_or(0));
    let away =
        if data.secs() == 0 { String::new() } else { format!("; its data take {data} to be there, by the hints") };
    let told = |word, text: &str, text_ko: &str| (word, format!("{text}{away}"), text_ko.to_owned());
    match standing.verdict {
        Verdict::Chosen => told("chosen", "chosen: the best by data, then price, that had room", "선택된 거점입니다"),
        Verdict::Promised(_) => told("promised", "it is promised a start there", "이 거점에서 시작이 약속되었습니다"),
        Verdict::Farther => (
            "farther",
            format!("not chosen: its data take {data} to be there, by the hints"),
            "데이터를 옮기는 데 더 오래 걸립니다".to_owned(),
        ),
        Verdict::Dearer => (
            "dearer",
            format!("not chosen: dearer, {won} won for an hour of it{away}"),
            "시간당 비용이 더 높습니다".to_owned(),
        ),
        Verdict::Even => told(
            "even",
            "not chosen: as good by data and price, but the chosen one had room first or left less stranded",
            "데이터와 비용은 같으나 선택된 거점이 더 알맞았습니다",
        ),
        Verdict::WasFull => told(
            "was_full",
            "not chosen: better, but it had no room for it, or was lost, when it started",
            "더 나은 거점이었으나 시작할 때 빈 자리가 없었습니다",
        ),
        Verdict::Full => told("full", "no room for it now", "지금은 빈 자리가 없습니다"),
        Verdict::Never => told("never", "no nodes there could ever hold it", "이 거점의 노드로는 실행할 수 없습니다"),
        Verdict::Lost => {
            told("lost", "lost: nothing new starts there", "연결이 끊긴 거점으로, 새 작업을 시작하지 않습니다")
        }
    }
}

/// What is known of a site that is lost.
pub fn lost(centre: &Centre, site: &Site) -> Option<LostView> {
    let lost = centre.lost(site.id)?;
    let fenced = centre.fenced().filter(|(_, fenced)| fenced.site == site.id).count();
    Some(LostView {
        since_ms: lost.since.millis(),
        reason: lost.why.clone(),
        by_operator: lost.by_operator,
        failover_ms: lost.failover.map(Time::millis),
        failed_over: lost.failed_over,
        fenced: u32::try_from(fenced).unwrap_or(u32::MAX),
    })
}
