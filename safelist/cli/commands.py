"""Every command: its name, where its function is, and the first line of its help, which a test compares."""

from safelist.cli.deferred import Group, Place

COMMANDS: dict[str, Place | Group] = {
    "init": Place(
        "init:init", "Write a commented safelist.toml and create the database; what is there already stays as it is."
    ),
    "config": Group(
        "The configuration.",
        {
            "check": Place(
                "config:check",
                "Report every fault of the configuration and of the files that it names; asks no Exchange and "
                "changes nothing.",
            ),
        },
    ),
    "db": Group(
        "The database of the aggregate.",
        {
            "upgrade": Place(
                "db.schema:upgrade", "Create the database or bring its schema to this version; nothing in it is lost."
            ),
            "verify": Place(
                "db.schema:verify",
                "Recount how many mailboxes trust each sender and compare with the maintained counts.",
            ),
            "backup": Place(
                "db.copies:backup",
                "Write the whole aggregate into one SQLite file, also while a run goes on; verified before it gets its "
                "name.",
            ),
            "restore": Place(
                "db.copies:restore",
                "Copy a backup into the configured database, which must be empty or not there yet; verified.",
            ),
            "copy": Place(
                "db.copies:copy",
                "Copy the whole aggregate, with its history and its chain, into an empty database of either kind; "
                "verified.",
            ),
        },
    ),
    "sync": Place(
        "sync:sync", "Collect the lists of every mailbox into the aggregate. Silent on success where nobody looks."
    ),
    "publish": Place(
        "publish:publish", "Write the safelist to every configured target; unchanged files are not touched."
    ),
    "status": Place(
        "status:status",
        "Whether everything runs: OK, WARNING, CRITICAL or UNKNOWN, which is the exit code too (0 to 3).",
    ),
    "check": Place("check:check", "Ask the mail filter itself what it makes of a published target; changes nothing."),
    "audit": Group(
        "Who trusts whom, first seen when, who overrode it, and why a sender is safe.",
        {
            "who": Place(
                "audit.who:who",
                "Every mailbox that trusts or blocks SENDER, directly or by an entry for its domain, first seen when.",
            ),
            "mailbox": Place(
                "audit.mailbox:mailbox",
                "One mailbox: when it was asked, every entry it holds or held and why it does not count, and warnings.",
            ),
            "why": Place(
                "audit.why:why",
                "Whether mail from SENDER is safe, the row of the policy that decides it, and the facts behind it.",
            ),
            "history": Place(
                "audit.history:history",
                "Entries added and removed, overrides made, expired and revoked, publications, failed runs: oldest "
                "first.",
            ),
            "changes": Place(
                "audit.changes:changes",
                "What is different now: senders that became safe for everybody or ceased to be, overrides, users' "
                "entries.",
            ),
            "runs": Place(
                "audit.runs:runs",
                "Every run of a command that writes: when, by whom, its figures and why it did not end well; the "
                "newest first.",
            ),
            "search": Place(
                "audit.search:search",
                "Mailboxes, overrides and senders whose address or domain contains PART, for `who`, `why` and "
                "`mailbox`.",
            ),
            "report": Place(
                "audit.report:report",
                "Write one self-contained page: totals, who is safe by whose trust, what was refused, overrides, "
                "problems.",
            ),
            "verify": Place(
                "audit.verify:verify",
                "Recompute every digest from the rows, walk the chain, recount the votes; name the first thing that "
                "is wrong.",
            ),
            "used": Place(
                "audit.used:used_",
                "Which safe entries the filter let a listed client's mail through by, how often and when last.",
            ),
        },
    ),
    "rejections": Place(
        "rejections.report:rejections",
        "What logs say was rejected, by whom, and what the safelist would have let through.",
    ),
    "override": Group(
        "What an administrator allows or blocks, for everybody, a domain or a recipient.",
        {
            "allow": Place("override.make:allow", "Make SENDER safe: the DNS blocklists do not count for it."),
            "block": Place(
                "override.make:block",
                "Never let SENDER become safe, whoever trusts it: the DNS blocklists count for it.",
            ),
            "list": Place("override.show:list_", "Every override that is in force."),
            "show": Place(
                "override.show:show",
                "Everything about one override: what it says, who made it when and why, and what became of it.",
            ),
            "revoke": Place(
                "override.revoke:revoke", "Take overrides back, all of these or none; the past stays in the audit."
            ),
            "import": Place(
                "override.import_export:import_",
                "Make every override of a file, or none: the columns are those of `safelist override export`.",
            ),
            "export": Place(
                "override.import_export:export",
                "Every override that is in force, as `safelist override import` reads it; as CSV unless --json is "
                "there.",
            ),
        },
    ),
    "failure": Group(
        "Mailboxes that cannot be read, and which of them are known to fail.",
        {
            "list": Place(
                "failure:list_", "Every mailbox that failed when it was asked last, and what was said of it."
            ),
            "acknowledge": Place(
                "failure:acknowledge",
                "Let these mailboxes fail no run for what they fail with now, until a day; another failure does.",
            ),
            "revoke": Place("failure:revoke", "Take acknowledgements back; the past stays in the audit."),
        },
    ),
    "forget": Place(
        "forget:forget", "End every entry of these mailboxes, so that they count no more; the past stays in the audit."
    ),
    "filter": Group(
        "The DNSBL filter for Postfix that honours the safelist.",
        {
            "run": Place(
                "filter.run:run",
                "Answer Postfix until SIGTERM; every verdict is one line on standard error. SIGHUP looks for changed "
                "files.",
            ),
            "ask": Place(
                "filter.ask:ask",
                "What the filter would do with a mail, and why; it asks the real lists and the real SPF records.",
            ),
            "check": Place(
                "filter.check:check",
                "Look at the snapshot, ask the lists for their test points, and read where Postfix asks the filter.",
            ),
            "sample": Place(
                "filter.sample:sample", "Print a commented filter.toml; write it to /etc/safelist/filter.toml."
            ),
        },
    ),
    "web": Place(
        "web:web", "Answer the site's web server until SIGTERM: my safe senders, helpdesk, audit; see docs/web.md."
    ),
    "explain": Place(
        "explain:explain",
        "Say who rejected a mail, and what to do: of a text, a bounce, or a mail's headers; asks no server.",
    ),
    "install": Group(
        "What else belongs to safelist on a host.",
        {
            "units": Place(
                "install:units",
                "Write out the units for systemd, its users and directories; starts nothing, and says what comes next.",
            ),
        },
    ),
    "notify": Place(
        "notify:notify",
        "Mail that a unit of systemd has failed, and the last lines of its journal; safelist-notify@.service runs it.",
    ),
    "demo": Place(
        "demo:demo",
        "Collect a sample organisation, publish it, and ask the map and the DNSBL filter about some senders.",
    ),
}
