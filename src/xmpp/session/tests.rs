//! What is taken from whom.

use super::super::stanza::{NOTICE, PUBSUB, PUBSUB_EVENT, bytes};
use super::*;

fn config() -> Config {
    Config {
        alsonotify: vec![BareJid::new("friend@e").unwrap()],
        commands_from: vec![BareJid::new("boss@e").unwrap()],
        priority: -1,
        node: "n".into(),
        ..Config::new(BareJid::new("me@d").unwrap())
    }
}

fn session(config: Config) -> Session {
    let mut s = Session::new(config);
    s.begin(FullJid::new("me@d/here").unwrap(), Tls::Start);
    s
}

fn take(s: &mut Session, text: &str) -> (String, Vec<Event>) {
    let out = s.stanza(&text.replacen(' ', " xmlns='jabber:client' ", 1).parse().unwrap());
    (out.stanzas.iter().map(|e| String::from_utf8(bytes(e)).unwrap()).collect(), out.events)
}

fn pushed(from: &str, payload: &str) -> String {
    format!(
        "<message {from}><event xmlns='{PUBSUB_EVENT}'><items node='n'><item id='current'><notice xmlns='{NOTICE}'>{payload}</notice></item></items></event></message>"
    )
}

fn error(id: &str, condition: &str) -> String {
    format!("<iq type='error' id='{id}'><error type='cancel'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
}

#[test]
fn a_notice_comes_from_the_bare_account_and_once() {
    let mut s = session(config());
    for forged in ["from='stranger@d'", "from='me@d/other'", "from='me@d/here'", "from='d'", "from='@@'", "from='boss@e' type='headline'"] {
        assert_eq!(take(&mut s, &pushed(forged, "AQI=")).1, [], "{forged}");
    }
    assert_eq!(take(&mut s, &pushed("from='me@d' type='headline'", "AQI=")).1, [Event::Notice(vec![1, 2])]);
    assert_eq!(take(&mut s, &pushed("from='me@d' type='headline'", "AQI=")).1, []);
    assert_eq!(take(&mut s, &pushed("from='me@d' type='error'", "AwQ=")).1, []);
    assert_eq!(take(&mut s, &pushed("from='me@d' type='headline'", "AwQ=")).1, [Event::Notice(vec![3, 4])]);
    // Our own comes back, and is no news; only the newest is told of.
    s.command(Command::Publish(vec![4]));
    s.command(Command::Publish(vec![5]));
    assert_eq!(take(&mut s, &pushed("from='me@d'", "BA==")).1, []);
    assert_eq!(take(&mut s, &pushed("from='me@d'", "BQ==")).1, [Event::Echo]);
    assert_eq!(take(&mut s, &pushed("from='me@d'", "BQ==")).1, []);
}

#[test]
fn the_item_is_fetched_and_told() {
    let item = |id: &str, from: &str| {
        format!(
            "<iq type='result' id='{id}' {from}><pubsub xmlns='{PUBSUB}'><items node='n'><item id='current'><notice xmlns='{NOTICE}'>AQI=</notice></item></items></pubsub></iq>"
        )
    };
    let mut s = session(config());
    assert_eq!(take(&mut s, &item("s1", "from='stranger@d'")).1, [], "not the server's answer");
    assert_eq!(take(&mut s, &item("s9", "")).1, [], "nobody asked");
    assert_eq!(take(&mut s, &item("s1", "from='me@d'")).1, [Event::Notice(vec![1, 2])]);
    assert!(!s.waits());
}

#[test]
fn a_notice_is_published_again_until_the_server_has_it() {
    let mut s = session(config());
    s.command(Command::Publish(vec![1]));
    s.command(Command::Publish(vec![2]));
    s.end();
    s.command(Command::Publish(vec![3]));
    let again: String =
        s.begin(FullJid::new("me@d/here").unwrap(), Tls::Start).stanzas.iter().map(|e| String::from_utf8(bytes(e)).unwrap()).collect();
    assert!(again.contains("Aw==") && !again.contains("Ag=="), "{again}");
    let id = s.carried_by.clone();
    take(&mut s, &format!("<iq type='result' id='{id}'/>"));
    let later = s.begin(FullJid::new("me@d/here").unwrap(), Tls::Start).stanzas;
    assert!(!later.iter().any(|e| String::from_utf8(bytes(e)).unwrap().contains("publish")));
}

#[test]
fn a_node_with_other_options_is_put_right() {
    let mut s = session(config());
    s.command(Command::Publish(vec![1]));
    let id = s.carried_by.clone();
    let (said, _) = take(&mut s, &error(&id, "conflict"));
    assert!(said.contains("<configure") && said.contains("whitelist"), "{said}");
    let id = format!("s{}", s.ids);
    let (said, _) = take(&mut s, &format!("<iq type='result' id='{id}'/>"));
    assert!(said.contains("<publish "), "{said}");
    // Once must do: a server that always refuses is not asked for ever.
    let id = s.carried_by.clone();
    let (said, _) = take(&mut s, &error(&id, "conflict"));
    assert!(said.is_empty(), "{said}");
}

#[test]
fn without_pep_the_devices_are_told_one_by_one() {
    let mut s = session(config());
    let caps = "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:sharelock:client' ver='x'/>";
    assert_eq!(take(&mut s, &format!("<presence from='me@d/pi'>{caps}</presence>")).1, [Event::Devices(vec!["pi".into()])]);
    // Neither a stranger, nor a phone, nor we ourselves.
    for other in [
        format!("<presence from='x@d/pi2'>{caps}</presence>"),
        "<presence from='me@d/phone'/>".into(),
        format!("<presence from='me@d/here'>{caps}</presence>"),
    ] {
        assert_eq!(take(&mut s, &other).1, []);
    }
    s.command(Command::Publish(vec![1]));
    let id = s.carried_by.clone();
    let (said, _) = take(&mut s, &error(&id, "service-unavailable"));
    assert!(said.contains("to='me@d/pi'") && said.contains("AQ==") && !said.contains("phone"), "{said}");
    take(&mut s, &error("s1", "service-unavailable"));
    assert!(!s.waits(), "a device that sleeps is no dead link");
    // And the other side takes it, from the own account only.
    let direct = |from: &str| format!("<iq type='set' id='q' from='{from}'><notice xmlns='{NOTICE}' node='n'>AgM=</notice></iq>");
    let (said, events) = take(&mut s, &direct("stranger@d/x"));
    assert!(said.contains("service-unavailable") && events.is_empty());
    let (said, events) = take(&mut s, &direct("me@d/pi"));
    assert!(said.contains("result") && events == [Event::Notice(vec![2, 3])]);
    assert_eq!(take(&mut s, "<presence from='me@d/pi' type='unavailable'/>").1, [Event::Devices(vec![])]);
}

#[test]
fn commands_come_from_those_who_may() {
    let mut s = session(config());
    let chat = |from: &str, body: &str| format!("<message from='{from}' type='chat'><body>{body}</body></message>");
    for from in ["stranger@d/x", "d", "friend@e/x", "me@d.evil/x", "me@d/here"] {
        assert_eq!(take(&mut s, &chat(from, "pause")), (String::new(), vec![]), "{from}");
    }
    for from in ["me@d/phone", "boss@e/x"] {
        let want = Event::Command { from: from.into(), verb: Verb::Pause, argument: "2h".into() };
        assert_eq!(take(&mut s, &chat(from, "pause 2h")), (String::new(), vec![want]));
        assert!(take(&mut s, &chat(from, "ping")).0.contains("<body>pong</body>"));
        assert!(take(&mut s, &chat(from, "help")).0.contains("you can ask this device"));
        for talk in ["hello", "pong", "Unknown command", "what is the status?"] {
            assert_eq!(take(&mut s, &chat(from, talk)), (String::new(), vec![]));
        }
    }
    // Without from: from the own account's server, which gives no commands.
    assert_eq!(take(&mut s, "<message type='chat'><body>pause</body></message>").1, []);
}

#[test]
fn two_devices_do_not_talk_to_each_other() {
    let mut a = session(config());
    let answer = a.command(Command::Reply { to: "me@d/pi".into(), text: "status".into() }).stanzas.remove(0);
    let mut b = session(config());
    let text = String::from_utf8(bytes(&answer)).unwrap().replace("<message ", "<message from='me@d/other' ");
    let out = b.stanza(&text.parse().unwrap());
    assert!(out.stanzas.is_empty() && out.events.is_empty());
}

#[test]
fn pings_and_disco_are_answered_to_those_who_may_ask() {
    let mut s = session(config());
    let ping = |from: &str| format!("<iq type='get' id='p' {from}><ping xmlns='urn:xmpp:ping'/></iq>");
    for from in ["", "from='d'", "from='me@d'", "from='me@d/phone'"] {
        assert!(take(&mut s, &ping(from)).0.contains("type='result'"), "{from}");
    }
    assert!(take(&mut s, &ping("from='stranger@d/x'")).0.contains("service-unavailable"));
    let disco = |node: &str| format!("<iq type='get' id='q' from='d'><query xmlns='http://jabber.org/protocol/disco#info' {node}/></iq>");
    let versioned = format!("node='{CLIENT_NODE}#{}'", s.version());
    let (info, _) = take(&mut s, &disco(&versioned));
    assert!(info.contains("n+notify") && info.contains("category='client'"), "{info}");
    assert!(take(&mut s, &disco("")).0.contains("n+notify"));
    assert!(take(&mut s, &disco("node='other'")).0.contains("item-not-found"));
    assert!(take(&mut s, "<iq type='get' id='v' from='me@d'><query xmlns='jabber:iq:version'/></iq>").0.contains("service-unavailable"));
    // Answers are never answered.
    assert_eq!(take(&mut s, "<iq type='error' id='zzz' from='stranger@d'/>"), (String::new(), vec![]));
}

#[test]
fn the_version_is_that_of_xep_0115() {
    let s = session(config());
    let text = "client/bot//sharelock<http://jabber.org/protocol/caps<http://jabber.org/protocol/disco#info<n+notify<urn:xmpp:ping<";
    assert_eq!(s.version(), BASE64.encode(&Sha1::digest(text.as_bytes())));
}

#[test]
fn people_are_told_and_old_clients_understood() {
    let mut s = Session::new(Config { compat: true, ..config() });
    let greeting: String = s
        .begin(FullJid::new("me@d/AutosyncJabberBot on box").unwrap(), Tls::Start)
        .stanzas
        .iter()
        .map(|e| String::from_utf8(bytes(e)).unwrap())
        .collect();
    assert!(greeting.contains("login AutosyncJabberBot on box"), "{greeting}");
    let chat = |body: &str| format!("<message from='me@d/AutosyncJabberBot on old' type='chat'><body>{body}</body></message>");
    assert_eq!(take(&mut s, &chat("pushed ssh://h/r.git\n")).1, [Event::Pushed { url: "ssh://h/r.git".into() }]);
    assert!(take(&mut s, &chat("ping")).0.contains("pong"));
    for quiet in ["login AutosyncJabberBot on old", "Unknown command: x", "pong"] {
        assert_eq!(take(&mut s, &chat(quiet)), (String::new(), vec![]));
    }
    take(&mut s, "<presence from='me@d/AutosyncJabberBot on old'/>");
    let out = s.command(Command::Pushed { urls: vec!["ssh://h/r.git".into()] }).stanzas;
    let to: Vec<_> = out.iter().filter_map(|e| e.attr("to")).collect();
    assert_eq!(to, ["me@d/AutosyncJabberBot on old", "friend@e"]);
    assert!(out.iter().all(|e| e.get_child("body", CLIENT).unwrap().text() == "pushed ssh://h/r.git"));
    let told = s.command(Command::Tell("laptop: 3 files changed \u{7}".into())).stanzas;
    assert_eq!((told.len(), told[0].attr("to")), (1, Some("friend@e")));
    // Without the mode none of this is understood.
    let mut s = session(config());
    assert_eq!(take(&mut s, &chat("pushed ssh://h/r.git")), (String::new(), vec![]));
}

#[test]
fn people_who_share_the_vault_are_let_in_and_heard() {
    let bob = BareJid::new("bob@e").unwrap();
    let mut s = Session::new(Config { people: vec![bob.clone()], priority: 0, ..config() });
    let said = |out: Vec<Element>| -> String { out.iter().map(|e| String::from_utf8(bytes(e)).unwrap()).collect() };
    // Asked at once: s1 is the own item, s2 the subscription.
    let begun = said(s.begin(FullJid::new("me@d/here").unwrap(), Tls::Start).stanzas);
    assert!(begun.contains("<subscribe ") && begun.contains("to='bob@e'") && begun.contains("jid='me@d'"), "{begun}");
    // Bob's server may take its time; that says nothing about our own link.
    assert!(s.waits(), "the own item");
    // No node yet: nobody can be let in. After the first notice there is one.
    assert_eq!(take(&mut s, &error("s1", "item-not-found")).0, "");
    assert!(!s.waits());
    s.command(Command::Publish(vec![1]));
    let id = s.carried_by.clone();
    let granted = take(&mut s, &format!("<iq type='result' id='{id}'/>")).0;
    assert!(granted.contains("affiliation='member'") && granted.contains("bob@e"), "{granted}");
    let last = format!("<iq type='result' id='s{}'/>", s.ids);
    let done = take(&mut s, &last).0;
    assert!(done.contains("<granted ") && done.contains("to='bob@e'"), "{done}");
    // He has not let us in: asked again when something else is said, and when he says that he has.
    assert_eq!(take(&mut s, &error("s2", "forbidden").replace("<iq ", "<iq from='bob@e' ")).0, "");
    assert!(said(s.subscribe()).contains("bob@e"));
    let granted = |from: &str| format!("<message type='headline' from='{from}'><granted xmlns='{NOTICE}' node='n'/></message>");
    assert_eq!(take(&mut s, &granted("stranger@e/x")).0, "");
    assert!(take(&mut s, &granted("bob@e/x")).0.contains("<subscribe "));
    let id = format!("s{}", s.ids);
    for forged in ["", "from='stranger@e'", "from='bob@e/x'", "from='d'"] {
        assert_eq!(take(&mut s, &format!("<iq type='result' id='{id}' {forged}/>")).0, "", "{forged}");
    }
    let fetch = take(&mut s, &format!("<iq type='result' id='{id}' from='bob@e'/>")).0;
    assert!(fetch.contains("<items ") && fetch.contains("to='bob@e'"), "{fetch}");
    assert!(s.subscribe().is_empty());
    let item = format!(
        "<iq type='result' id='s{}' from='bob@e'><pubsub xmlns='{PUBSUB}'><items node='n'><item id='current'><notice xmlns='{NOTICE}'>AQI=</notice></item></items></pubsub></iq>",
        s.ids
    );
    assert_eq!(take(&mut s, &item).1, [Event::Notice(vec![1, 2])]);
    assert_eq!(take(&mut s, &pushed("from='bob@e' type='headline'", "AwQ=")).1, [Event::Notice(vec![3, 4])]);
    assert_eq!(take(&mut s, &pushed("from='bob@e/x'", "BQY=")).1, []);
    // At negative priority the account's address would not do.
    let mut low = Session::new(Config { people: vec![bob], ..config() });
    assert!(said(low.begin(FullJid::new("me@d/here").unwrap(), Tls::Start).stanzas).contains("jid='me@d/here'"));
    // That does not let him command.
    assert_eq!(take(&mut s, "<message from='bob@e/x' type='chat'><body>pause</body></message>"), (String::new(), vec![]));
}
