//! A key that is open in the Keys tab: its elements; for a stream its entries, groups, and the
//! pending entries of each consumer.

use yew::prelude::*;

use super::keys::show;
use crate::figures;
use crate::i18n::{Locale, Text};
use crate::icon::{Icon, glyph};
use crate::kinds::server::contents::{
    ConsumerContents, Elements, GroupContents, KeyContents, MOST, StreamContents, StreamEntry,
};
use crate::page::Page;
use crate::units::BodyId;

/// Draws the key that is open.
pub(super) fn key(page: &Page, body: BodyId, db: usize, key: &[u8]) -> Html {
    let locale = page.locale();
    let contents = page.lab().key_contents(body, db, key);
    let name = String::from_utf8_lossy(key).into_owned();
    html! {
        <div class="key" data-testid="key">
            <div class="filehead">
                <button class="button framed" data-testid="keys-back" onclick={show(page, None)}>
                    { glyph(Icon::JumpBack) }{ locale.say(words::ALL_KEYS) }
                </button>
                <code>{ if db == 0 { name } else { format!("[{db}] {name}") } }</code>
            </div>
            { match &contents {
                Some(contents) => opened(locale, contents),
                None => html! { <p class="empty">{ locale.say(words::NO_SUCH_KEY) }</p> },
            } }
        </div>
    }
}

fn opened(locale: Locale, contents: &KeyContents) -> Html {
    let expires = contents.expires_in.map(figures::duration);
    let gist = locale.fill(
        match (&contents.elements, &expires) {
            (Elements::Stream(_), None) => words::STREAM_GIST,
            (Elements::Stream(_), Some(_)) => words::STREAM_EXPIRING_GIST,
            (Elements::Text(_), None) => words::BYTES_GIST,
            (Elements::Text(_), Some(_)) => words::BYTES_EXPIRING_GIST,
            (_, None) => words::GIST,
            (_, Some(_)) => words::EXPIRING_GIST,
        },
        &[
            ("kind", contents.kind),
            ("encoding", contents.encoding),
            ("n", &figures::count(contents.size as u64)),
            ("time", expires.as_deref().unwrap_or_default()),
        ],
    );
    let shown = match &contents.elements {
        Elements::Text(_) => contents.size,
        Elements::Members(rows) => rows.len(),
        Elements::Pairs(rows) => rows.len(),
        Elements::Stream(stream) => stream.entries.len(),
    };
    html! {
        <>
            <p class="dim">{ gist }</p>
            { match &contents.elements {
                Elements::Text(text) => html! { <pre data-testid="key-value">{ text }</pre> },
                Elements::Members(rows) => table(&[locale.say(words::MEMBER)],
                    rows.iter().map(|member| vec![member.as_str()])),
                Elements::Pairs(rows) => {
                    let [first, second] = columns(contents.kind).map(|text| locale.say(text));
                    table(&[first, second], rows.iter().map(|(a, b)| vec![a.as_str(), b.as_str()]))
                }
                Elements::Stream(stream) => entries(locale, stream),
            } }
            if contents.size > shown {
                <p class="dim">{ locale.fill(words::MORE,
                    &[("n", &figures::count((contents.size - shown) as u64))]) }</p>
            }
            if let Elements::Stream(stream) = &contents.elements {
                { groups(locale, stream) }
            }
        </>
    }
}

/// The titles of the two columns of a type.
fn columns(kind: &str) -> [Text; 2] {
    match kind {
        "hash" => [words::FIELD, words::VALUE],
        "zset" => [words::MEMBER, words::SCORE],
        _ => [words::INDEX, words::ELEMENT],
    }
}

fn table<'a>(titles: &[&str], rows: impl Iterator<Item = Vec<&'a str>>) -> Html {
    html! {
        <table class="facts" data-testid="key-elements">
            <thead><tr>
                { for titles.iter().map(|title| html! { <th scope="col">{ *title }</th> }) }
            </tr></thead>
            <tbody>
                { for rows.map(|row| html! {
                    <tr>{ for row.iter().map(|cell| html! { <td>{ *cell }</td> }) }</tr>
                }) }
            </tbody>
        </table>
    }
}

/// The entries of a stream, newest first, each with the consumers that have not acknowledged it.
fn entries(locale: Locale, stream: &StreamContents) -> Html {
    if stream.entries.is_empty() {
        return html! { <p class="empty">{ locale.say(words::NO_ENTRIES) }</p> };
    }
    let grouped = !stream.groups.is_empty();
    html! {
        <table class="facts entries" data-testid="entries">
            <thead><tr>
                <th scope="col">{ "ID" }</th>
                <th scope="col">{ locale.say(words::FIELDS) }</th>
                if grouped { <th scope="col">{ locale.say(words::PENDING_AT) }</th> }
            </tr></thead>
            <tbody>
                { for stream.entries.iter().map(|entry| html! {
                    <tr key={entry.id.clone()}>
                        <td>{ &entry.id }</td>
                        <td>{ fields(entry) }</td>
                        if grouped { <td>{ holders(stream, &entry.id) }</td> }
                    </tr>
                }) }
            </tbody>
        </table>
    }
}

fn fields(entry: &StreamEntry) -> Html {
    entry
        .fields
        .iter()
        .map(|(field, value)| html! { <div><span class="dim">{ field }</span>{ " " }{ value }</div> })
        .collect()
}

/// The consumers that have not acknowledged an entry, with their groups.
fn holders(stream: &StreamContents, id: &str) -> Html {
    let holds = |consumer: &&ConsumerContents| consumer.entries.iter().any(|entry| entry.id == id);
    let of_group = |group: &GroupContents| {
        let holder = group.consumers.iter().find(holds)?;
        Some(html! { <div>{ format!("{} › {}", group.name, holder.name) }</div> })
    };
    stream.groups.iter().filter_map(of_group).collect()
}

fn groups(locale: Locale, stream: &StreamContents) -> Html {
    html! {
        <>
            <p class="dim">{ locale.fill(words::LAST_ID, &[("id", &stream.last_id)]) }</p>
            if stream.groups.is_empty() {
                <p class="empty">{ locale.say(words::NO_GROUPS) }</p>
            }
            { for stream.groups.iter().map(|each| group(locale, each)) }
        </>
    }
}

fn group(locale: Locale, group: &GroupContents) -> Html {
    let lag = group.lag.map_or_else(|| "–".to_owned(), |lag| lag.to_string());
    html! {
        <section key={group.name.clone()} class="group" data-testid={format!("group-{}", group.name)}>
            <h3>{ locale.fill(words::GROUP, &[("name", &group.name)]) }</h3>
            <dl class="pairs">
                <dt>{ locale.say(words::LAST_DELIVERED) }</dt><dd>{ &group.last_id }</dd>
                <dt>{ locale.say(words::LAG) }</dt><dd>{ lag }</dd>
                <dt>{ locale.say(words::PENDING) }</dt><dd>{ group.pending }</dd>
            </dl>
            if group.consumers.is_empty() {
                <p class="dim">{ locale.say(words::NO_CONSUMERS) }</p>
            } else {
                <table class="facts">
                    <thead><tr>
                        <th scope="col">{ locale.say(words::PENDING_ID) }</th>
                        <th scope="col" class="num">{ locale.say(words::DELIVERED) }</th>
                        <th scope="col" class="num">{ locale.say(words::TIMES) }</th>
                    </tr></thead>
                    { for group.consumers.iter().map(|each| consumer(locale, each)) }
                </table>
            }
        </section>
    }
}

fn consumer(locale: Locale, consumer: &ConsumerContents) -> Html {
    let values = [
        ("name", consumer.name.as_str()),
        ("n", &figures::count(consumer.pending as u64)),
        ("idle", &figures::duration(consumer.idle)),
    ];
    html! {
        <tbody key={consumer.name.clone()} data-testid={format!("consumer-{}", consumer.name)}>
            <tr><th scope="rowgroup" colspan="3">{ locale.fill(words::CONSUMER, &values) }</th></tr>
            { for consumer.entries.iter().map(|entry| html! {
                <tr key={entry.id.clone()}>
                    <td>{ &entry.id }</td>
                    <td class="num">{
                        locale.fill(words::AGO, &[("time", &figures::duration(entry.idle))])
                    }</td>
                    <td class="num">{ entry.deliveries }</td>
                </tr>
            }) }
            if consumer.pending > MOST {
                <tr class="whole"><td colspan="3">{ locale.fill(words::MORE,
                    &[("n", &figures::count((consumer.pending - MOST) as u64))]) }</td></tr>
            }
        </tbody>
    }
}

mod words {
    crate::i18n::texts! {
        ALL_KEYS: "All keys", "全部键";
        NO_SUCH_KEY: "This server has no such key, or has it no more.", "该服务器上没有这个键，或者它已经不在了。";
        GIST: "{kind}, elements: {n}, encoded as {encoding}", "{kind}，共 {n} 个元素，编码为 {encoding}";
        EXPIRING_GIST: "{kind}, elements: {n}, encoded as {encoding}, expires in {time}", "{kind}，共 {n} 个元素，编码为 {encoding}，{time}后过期";
        STREAM_GIST: "stream, entries: {n}", "stream，共 {n} 个条目";
        STREAM_EXPIRING_GIST: "stream, entries: {n}, expires in {time}", "stream，共 {n} 个条目，{time}后过期";
        BYTES_GIST: "{kind}, bytes: {n}, encoded as {encoding}", "{kind}，共 {n} 字节，编码为 {encoding}";
        BYTES_EXPIRING_GIST: "{kind}, bytes: {n}, encoded as {encoding}, expires in {time}", "{kind}，共 {n} 字节，编码为 {encoding}，{time}后过期";
        MORE: "and {n} more", "另有 {n} 个";
        MEMBER: "Member", "成员";
        SCORE: "Score", "分数";
        FIELD: "Field", "字段";
        VALUE: "Value", "值";
        INDEX: "Index", "下标";
        ELEMENT: "Element", "元素";
        FIELDS: "Fields", "字段";
        NO_ENTRIES: "The stream has no entries.", "这个流里没有条目。";
        PENDING_AT: "Not acknowledged by", "尚未确认";
        LAST_ID: "Last ID that was added: {id}. Each group below reads the entries for itself and shares them out among its consumers; what a consumer got stays on its pending list until XACK.", "最后添加的 ID：{id}。下面每个消费组各自读取全部条目，并在组内的消费者之间分配；消费者拿到的条目在 XACK 之前一直留在它的待确认列表里。";
        NO_GROUPS: "It has no consumer groups. XGROUP CREATE makes one.", "还没有消费组。用 XGROUP CREATE 创建。";
        GROUP: "Group {name}", "消费组 {name}";
        LAST_DELIVERED: "last delivered ID", "最后投递的 ID";
        LAG: "not delivered yet (lag)", "尚未投递（lag）";
        PENDING: "pending", "待确认";
        NO_CONSUMERS: "No consumer has asked for entries yet.", "还没有消费者来取过条目。";
        PENDING_ID: "Pending entry", "待确认条目";
        DELIVERED: "Delivered", "投递时间";
        TIMES: "Times", "次数";
        CONSUMER: "{name}: {n} pending, last seen {idle} ago", "{name}：待确认 {n} 条，{idle}前活动过";
        AGO: "{time} ago", "{time}前";
    }
}
