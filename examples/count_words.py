#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A reducer in a process and a language of its own, for Lectern.

Counts each student's keystrokes and saved letters. Copy it, change fold() and REDUCER;
Python's standard library is all it needs. docs/reducers.md explains the contract.

In lectern.conf:      producer "counts" { jid = "counts.school.example" reducers = { "counts.words" } }
In prosody.cfg.lua:   Component "counts.school.example"
                        component_secret = "..."
Run:  count_words.py 127.0.0.1:5347 counts.school.example SECRET-FILE lectern.school.example
"""
import hashlib
import json
import socket
import sys
import time
import xml.etree.ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

REDUCER = "counts.words"
PUBSUB = "http://jabber.org/protocol/pubsub"
BATCH = 20  # states in one publish: a stanza holds at most 64 KiB


def fold(state, event):
    """(state, event) -> state. Pure: no clock, no files, no randomness."""
    client = event["event"]  # what the student's browser sent
    if client["event"] == "keystroke":
        state["keys"] = state.get("keys", 0) + 1
    elif client["event"] == "google_docs_save":
        for command in (c for b in client["bundles"] for c in b["commands"]):
            if command.get("ty") == "is":
                state["letters"] = state.get("letters", 0) + len(command["s"])
    state["events"] = state.get("events", 0) + 1
    return state


def fold_or_not(state, event):
    """A client can send anything: an event that cannot be folded changes nothing."""
    try:
        return fold(json.loads(json.dumps(state)), event)
    except Exception as e:
        print("event %d left out: %r" % (event["seq"], e), file=sys.stderr, flush=True)
        return state


class Stream:
    """An XMPP component stream, XEP-0114."""

    def __init__(self, address, jid, secret, service):
        host, port = address.rsplit(":", 1)
        self.jid, self.service, self.n, self.more = jid, service, 0, True
        self.waiting, self.depth, self.root = [], 0, None
        self.socket = socket.create_connection((host, int(port)), timeout=60)
        self.parser = ET.XMLPullParser(["start", "end"])
        self.send("<stream:stream xmlns='jabber:component:accept' "
                  "xmlns:stream='http://etherx.jabber.org/streams' to=%s>" % quoteattr(jid))
        while self.root is None:
            self.read()
        self.send("<handshake>%s</handshake>" %
                  hashlib.sha1((self.root.get("id") + secret).encode()).hexdigest())
        if not self.stanza().tag.endswith("}handshake"):
            raise ConnectionError("the server refuses the secret")

    def send(self, text):
        self.socket.sendall(text.encode())

    def read(self):
        """Feeds the parser once; complete stanzas wait in self.waiting."""
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the server closed the stream")
        self.parser.feed(data)
        for what, element in self.parser.read_events():
            if what == "start":
                self.root = element if self.depth == 0 else self.root
                self.depth += 1
            else:
                self.depth -= 1
                if self.depth == 1:
                    self.waiting.append(element)
                    self.root.remove(element)

    def stanza(self):
        while not self.waiting:
            self.read()
        x = self.waiting.pop(0)
        if x.tag.endswith("}message"):
            self.more = True  # a notification: there are events
        elif x.tag.endswith("}iq") and x.get("type") in ("get", "set"):  # a ping
            self.send("<iq type='result' id=%s to=%s from=%s/>" % tuple(
                quoteattr(x.get(k, "")) for k in ("id", "from", "to")))
        return x

    def ask(self, kind, child):
        """One request; waits for its answer."""
        self.n += 1
        self.send("<iq type='%s' id='r%d' from=%s to=%s><pubsub xmlns='%s'>%s</pubsub></iq>" % (
            kind, self.n, quoteattr(self.jid), quoteattr(self.service), PUBSUB, child))
        while True:
            x = self.stanza()
            if x.get("id") == "r%d" % self.n and x.get("type") == "error":
                raise RuntimeError(ET.tostring(x.find("{*}error"), "unicode"))
            if x.get("id") == "r%d" % self.n:
                return x

    def items(self, node, after):
        """A page of a node: [(id, JSON)], empty at its end."""
        rsm = "<after>%s</after>" % escape(after) if after else ""
        x = self.ask("get", "<items node=%s/><set xmlns='http://jabber.org/protocol/rsm'>"
                     "<max>200</max>%s</set>" % (quoteattr(node), rsm))
        return [(i.get("id"), json.loads(i.find(".//{*}json").text)) for i in x.iter("{%s}item" % PUBSUB)]

    def publish(self, items):
        """Returns once lecternd has them on disk."""
        self.ask("set", "<publish node='state/%s'>%s</publish>" % (REDUCER, "".join(
            "<item id=%s><payload xmlns='urn:xmpp:json-msg:0' datatype='urn:lectern:published:1'>"
            "<json xmlns='urn:xmpp:json:0'>%s</json></payload></item>" % (
                quoteattr(i), escape(json.dumps(p))) for i, p in items)))


def restore(stream):
    """What we published before we were stopped: {student: payload}, position."""
    states, after = {}, None
    while page := stream.items("state/" + REDUCER, after):
        states.update(page)
        after = page[-1][0]
    return states, states.pop("position")["position"]


def run(stream):
    states, position = restore(stream)
    after, parts = str(position) if position else None, ""
    stream.ask("set", "<subscribe node='events/_all' jid=%s/>" % quoteattr(stream.jid))
    while True:
        stream.more = False
        page, changed, seq = stream.items("events/_all", after), {}, 0
        for after, event in page:
            if "part" in event:  # too large for one item: the texts of all parts make it
                parts = (parts if event["part"] > 1 else "") + event["text"]
                if event["part"] < event["parts"]:
                    continue
                event = json.loads(parts)
            seq, student = event["seq"], event["student"]
            old = states.get(student, {"position": 0, "state": {}})
            if seq > old["position"]:  # else it is in the state already
                changed[student] = states[student] = {
                    "v": 1, "position": seq, "time_us": event["time_us"], "sec": event["sec"],
                    "state": fold_or_not(old["state"], event)}
        items = list(changed.items())
        if seq:  # everything up to here is published: next time, go on behind it
            items.append(("position", {"v": 1, "position": seq}))
        for i in range(0, len(items), BATCH):
            stream.publish(items[i:i + BATCH])
        while not page and not stream.more:
            try:
                stream.stanza()
            except TimeoutError:
                stream.more = True  # quiet, or deaf: asking tells


if __name__ == "__main__":
    address, jid, secret_file, service = sys.argv[1:]
    with open(secret_file) as f:
        secret = f.read().strip()
    while True:
        try:
            run(Stream(address, jid, secret, service))
        except (OSError, RuntimeError, ET.ParseError) as e:
            print("trying again:", e, file=sys.stderr, flush=True)
            time.sleep(1)
