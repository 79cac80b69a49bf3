"""Which rule of FORMAT.md each vector that must be refused stands for, by group and name."""

RULES = {
    "vault": {
        "vault:length": ["length"],
        "hdr:magic": ["magic"],
        "hdr:type": ["type"],
        "hdr:version": ["format version"],
        "hdr:epoch": ["epoch"],
        "vault:features": ["feature"],
        "vault:zeros": ["zeros"],
        "vault:mac": ["mac", "another key"],
    },
    "names": {
        "name:long": ["a long name written short"],
        "name:spelling": ["padding characters", "bits behind the end", "not base64url"],
        "name:length": ["a length that no name has", "no record"],
        "name:version": ["version 2"],
        "name:epoch": ["epoch 1"],
        "name:tag": ["moved to another directory", "another vault", "an altered s.n"],
        "name:id": ["an id of zeros"],
        "name:kind": ["kind 0", "kind 5"],
        "name:padding": ["more padding than needed"],
        "name:text": ["no name", "dot", "dot dot", "slash", "NUL"],
        "name:keeper": ["a keeper with a name", "a keeper of another directory"],
        "long:missing": ["a long name whose s.n is missing"],
        "long:length": ["a name of 256 bytes", "an s.n of 300 bytes"],
        "long:header": ["another type of s.n", "another epoch in the header of s.n"],
        "long:stem": ["a long name with another's s.n", "an s.n shorter than its stem"],
        "long:epoch": ["two epochs in one long name"],
        "long:fits": ["a short name written long"],
    },
    "small": {
        "hdr:magic": ["magic"],
        "hdr:type": ["type", "the head of a large file"],
        "hdr:version": ["format version"],
        "hdr:epoch": ["epoch"],
        "hdr:short": ["nothing"],
        "head:tag": ["tag of the head", "record of the head"],
        "head:id": ["another file's contents"],
        "head:kind": ["kind 3"],
        "head:flags": ["unknown flag", "an executable link"],
        "head:scheme": ["padding scheme 2"],
        "head:writer-length": ["no writer", "a writer of 33 bytes", "a keeper with a writer"],
        "head:writer": [
            "a writer with a slash", "a writer with a bracket", "a writer with a space", "a writer with an escape", "a writer that is not UTF-8"],
        "head:writer-zeros": ["bytes behind the writer"],
        "head:ns": ["nanoseconds"],
        "head:time": ["a time after the limit", "a time before the limit", "a writer with a slash, a time after the limit"],
        "head:size": ["a size above the limit"],
        "head:link": ["an empty link", "a link of 4096 bytes", "a link without a length, of a generation above the limit"],
        "head:generation-limit": ["a generation above the limit"],
        "head:generation": ["generation 0", "a keeper with a generation"],
        "head:keeper": ["a keeper with a time", "a keeper with a size", "a keeper with an offset"],
        "head:offset": ["an offset of a day and a minute"],
        "head:segment": ["a segment size in a small file"],
        "head:reserved": ["reserved bytes"],
        "file:length": ["a size that the length does not fit", "cut short", "one byte more", "cut in the head"],
        "file:form": ["a large file's size"],
        "file:content": ["another version's content", "another version's tags", "tags"],
        "chunk:tag": ["first chunk", "second chunk"],
        "file:padding": ["padding that is not zero"],
        "file:target": ["a link with a NUL"],
    },
    "large": {
        "head:tag": ["head of head"],
        "head:segment": ["segments of 2^15", "segments of 2^21", "a small file as a large one"],
        "file:form": ["a link as a large file"],
        "file:groups": ["more than 65536 groups"],
        "part:length": ["list cut", "a segment cut", "an index cut", "a list for another size"],
        "part:list": ["list"],
        "part:missing": ["no head", "a segment missing", "an index missing"],
        "part:header": ["a segment's type", "a segment's version", "a segment's epoch", "an index of another type"],
        "part:index": ["an index altered"],
        "part:segment": ["a segment's tag", "segments swapped", "segments of two groups swapped"],
        "chunk:tag": ["a segment's chunk", "a segment of a group"],
    },
    "keyfile": {
        "key:length": ["length"],
        "key:header": ["type", "format version", "epoch"],
        "key:derivation": ["derivation"],
        "key:lanes": ["lanes"],
        "key:master": ["key length"],
        "key:cheap": ["too little memory", "one pass", "too cheap together"],
        "key:dear": ["too much memory", "too many passes", "too dear together"],
        "key:tag": ["salt", "vault id", "tag", "wrong password"],
    },
    "recovery": {
        "paper:digits": ["a group missing", "a U", "a dotless i"],
        "paper:group": ["a wrong digit", "two digits exchanged", "groups exchanged"],
        "paper:version": ["version 2"],
        "paper:sum": ["groups of two keys"],
    },
    "commits": {
        "commit:size": ["over 64 KiB"],
        "commit:unsealed": ["no seal"],
        "commit:end": ["bytes behind the seal", "no newline at the end"],
        "commit:epoch": ["epoch of the seal"],
        "commit:seal": ["another parent", "another tree", "another label", "another vault", "details of another type"],
        "commit:lines": ["a line more", "another subject", "three parents"],
        "commit:details": [
            "details cut to no length", "details of no length and another version", "details with another type under a right seal"],
        "commit:details-tag": ["details of another commit"],
        "commit:items": ["an item twice", "items out of order", "an item cut short"],
        "commit:unknown": ["an item that must be understood"],
        "commit:widths": ["an item of another width", "a device name with a space", "a summary that is not UTF-8", "a summary of 4097 bytes"],
        "commit:zeros": ["more padding than needed", "padding that is not zero"],
        "commit:time": ["a time below 0", "a time of 2^33"],
        "commit:ns": ["nanoseconds"],
        "commit:row": [f"without item {n}" for n in (1, 2, 3, 4, 5)] + [f"a merge with item {n}" for n in (1, 2, 4, 6, 7, 8, 9, 10)],
        "commit:counters": ["seq 0", "height 0", "a root of height 4", "a merge of height 1"],
        "commit:vector": ["a vector in a child"],
        "commit:lists": ["a vector out of order", "adopts out of order", "forgets out of order", "an empty list"],
        "commit:date": ["another date"],
    },
    "notices": {
        "notice:spelling": ["length", "bits behind the end"],
        "notice:header": ["type", "format version", "epoch"],
        "notice:tag": ["tag", "body", "another vault"],
        "notice:zeros": ["bytes behind the head", "zeros"],
        "notice:head": ["head length"],
        "notice:counter": ["seen before"],
    },
}


def name_rules(group, rows):
    """Gives each row that must be refused its rule; a row without one, or a rule without its row, is a mistake."""
    rule_of = {what: rule for rule, whats in RULES.get(group, {}).items() for what in whats}
    for row in rows:
        what, refused = (row[0], True) if isinstance(row, list) else (row["what"], "reject" in row)
        if refused:
            rule = rule_of.pop(what)
            row.append(rule) if isinstance(row, list) else row.update(rule=rule)
    if rule_of:
        raise SystemExit(f"{group}: rules without a vector: {sorted(rule_of)}")
    return rows
