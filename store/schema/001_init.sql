-- What a home remembers. Read it with plain sqlite3; docs/store.md is printed from these comments.
-- Times are seconds since the Unix epoch in UTC, by the clock of the machine that wrote the row.
-- In columns of measurements NULL is NaN (SQLite keeps no other), 9e999 and -9e999 are infinities.

-- The runs that one sweep file asks for.
CREATE TABLE sweep (
    id         INTEGER PRIMARY KEY,          -- row
    name       TEXT NOT NULL CHECK (name <> ''), -- its name for people; unique outside the trash
    hash       TEXT NOT NULL,                -- SHA-256 of what it asks: the file and its --set overrides
    spec       TEXT NOT NULL,                -- the sweep file, verbatim
    method     TEXT NOT NULL,                -- how configurations are chosen: grid, random, ...
    metric     TEXT NOT NULL,                -- the metric that ranks its runs, '' when it has none
    maximize   INTEGER NOT NULL CHECK (maximize IN (0, 1)), -- 1: larger is better
    seed       INTEGER NOT NULL,             -- of the search
    state      TEXT NOT NULL
               CHECK (state IN ('running', 'paused', 'stopped', 'canceled', 'finished')), -- what is asked of it
    planned    INTEGER NOT NULL DEFAULT 0,   -- runs it will have; 0: not known before the end [runs]
    created_s  REAL NOT NULL,                -- when it was added [s]
    trashed_s  REAL                          -- when it was put in the trash, NULL: it is not there [s]
) STRICT;
CREATE UNIQUE INDEX sweep_name ON sweep (name) WHERE trashed_s IS NULL;

-- One training of one configuration; it may need several attempts.
CREATE TABLE run (
    id          INTEGER PRIMARY KEY,         -- row
    key         TEXT NOT NULL UNIQUE CHECK (length(key) = 8), -- its id for people and URLs, [0-9a-z]
    sweep_id    INTEGER NOT NULL REFERENCES sweep (id), -- the sweep that asked for it
    number      INTEGER NOT NULL,            -- 0, 1, 2 ... within its sweep
    name        TEXT NOT NULL,               -- what varies, in words: ternary-lr1e-3-s0
    state       TEXT NOT NULL
                CHECK (state IN ('pending', 'running', 'finished', 'failed', 'crashed', 'killed',
                                 'preempted', 'pruned', 'skipped')), -- where it stands
    reason      TEXT NOT NULL DEFAULT '',    -- why: exit 3, signal 9, oom, diverged at step 40, ...
    attempt     INTEGER NOT NULL DEFAULT 0,  -- attempts begun [attempts]
    token       TEXT NOT NULL DEFAULT '',    -- how its launcher finds it again, opaque to all others
    dir         TEXT NOT NULL,               -- its folder, relative to the home
    variant     TEXT NOT NULL DEFAULT '',    -- quant.variant; '' for a program without that parameter
    config_hash TEXT NOT NULL DEFAULT '',    -- SHA-256 of the knobs that say what is trained, seed included
    host        TEXT NOT NULL DEFAULT '',    -- machine of the last attempt
    device      TEXT NOT NULL DEFAULT '',    -- what it computed on: cpu (...), cuda (...)
    exit_code   INTEGER NOT NULL DEFAULT -1, -- of the last attempt; -1: none
    created_s   REAL NOT NULL,               -- when the row was added [s]
    started_s   REAL,                        -- begin of the last attempt, NULL: not yet [s]
    ended_s     REAL,                        -- end of the last attempt, NULL: not yet [s]
    duration_s  REAL NOT NULL DEFAULT 0,     -- all ended attempts together [s]
    mark_bytes  INTEGER NOT NULL DEFAULT 0,  -- how much of its events file is in the store [byte]
    next_seq    INTEGER NOT NULL DEFAULT 0,  -- records in the store [records]
    trashed_s   REAL                         -- when it was put in the trash, NULL: it is not there [s]
) STRICT;
CREATE UNIQUE INDEX run_number ON run (sweep_id, number) WHERE trashed_s IS NULL;
CREATE INDEX run_config ON run (config_hash) WHERE state = 'finished';

-- The whole configuration of a run. Apart from run, so that listing runs reads little.
CREATE TABLE config (
    run_id INTEGER PRIMARY KEY REFERENCES run (id) ON DELETE CASCADE, -- whose
    json   TEXT NOT NULL -- valid JSON, flat: {"optim.lr":0.001,...}, every knob
) STRICT;

-- Knobs of a run one by one, to be filtered and sorted by.
CREATE TABLE param (
    run_id INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE, -- whose
    name   TEXT NOT NULL,                    -- optim.lr
    value  TEXT NOT NULL,                    -- as JSON: 0.001, "ternary", true
    varied INTEGER NOT NULL CHECK (varied IN (0, 1)), -- 1: chosen by the search, 0: fixed
    PRIMARY KEY (run_id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX param_varied ON param (run_id, name, value) WHERE varied = 1;

-- What a run was made from, as far as its machine could tell: one row a fact.
CREATE TABLE origin (
    run_id INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE, -- whose
    name   TEXT NOT NULL,                    -- git.commit, git.dirty, binary.sha256, argv, env.OMP_NUM_THREADS, ...
    value  TEXT NOT NULL,                    -- in words
    PRIMARY KEY (run_id, name)
) STRICT, WITHOUT ROWID;

-- Every attempt of a run.
CREATE TABLE attempt (
    run_id    INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE, -- whose
    number    INTEGER NOT NULL,              -- 1, 2, ...
    state     TEXT NOT NULL,                 -- how it stands or ended, in run.state's words
    reason    TEXT NOT NULL,                 -- why
    exit_code INTEGER NOT NULL,              -- -1: none
    host      TEXT NOT NULL,                 -- its machine
    device    TEXT NOT NULL,                 -- what it computed on
    started_s REAL NOT NULL,                 -- when it began [s]
    ended_s   REAL,                          -- when it ended, NULL: not yet [s]
    PRIMARY KEY (run_id, number)
) STRICT, WITHOUT ROWID;

-- Every change of a run's state, in order: the history that explains where it stands.
CREATE TABLE change (
    id      INTEGER PRIMARY KEY,             -- order of the changes of all runs
    run_id  INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE, -- whose
    at_s    REAL NOT NULL,                   -- when [s]
    attempt INTEGER NOT NULL,                -- attempts begun at that time, this one included
    before  TEXT NOT NULL,                   -- the state it left; '' when it was added
    after   TEXT NOT NULL,                   -- the state it took
    reason  TEXT NOT NULL                    -- why
) STRICT;
CREATE INDEX change_run ON change (run_id, id);

-- Names of metrics, once.
CREATE TABLE metric_key (
    id   INTEGER PRIMARY KEY,                -- row
    name TEXT NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 95) -- val/loss
) STRICT;

-- One measurement of one run: when it was taken.
CREATE TABLE record (
    run_id INTEGER NOT NULL REFERENCES run (id), -- whose
    seq    INTEGER NOT NULL,                 -- 0, 1, 2 ... within the run, no gaps; its line everywhere
    step   INTEGER NOT NULL,                 -- optimizer steps done [steps]
    wall_s REAL,                             -- by the run's clock [s]
    PRIMARY KEY (run_id, seq)
) STRICT, WITHOUT ROWID;

-- What was measured. One metric of one run lies together, so that a curve is one read.
CREATE TABLE value (
    run_id INTEGER NOT NULL,                 -- whose
    key_id INTEGER NOT NULL,                 -- what: metric_key.id
    seq    INTEGER NOT NULL,                 -- of which record
    number REAL,                             -- in the metric's unit; NULL is NaN
    PRIMARY KEY (run_id, key_id, seq)
) STRICT, WITHOUT ROWID;

-- The summary of each metric of each run, kept with every append. One metric lies together.
CREATE TABLE latest (
    key_id    INTEGER NOT NULL,              -- what: metric_key.id
    run_id    INTEGER NOT NULL,              -- whose
    count     INTEGER NOT NULL,              -- numbers recorded [numbers]
    last      REAL,                          -- the newest; NULL is NaN
    last_step INTEGER NOT NULL,              -- when it was taken [steps]
    min       REAL,                          -- least finite one; NULL: none was finite
    min_step  INTEGER,                       -- when it was first taken [steps]
    max       REAL,                          -- largest finite one; NULL: none was finite
    max_step  INTEGER,                       -- when it was first taken [steps]
    PRIMARY KEY (key_id, run_id)
) STRICT, WITHOUT ROWID;

-- How far each reader (wandb, mlflow, ...) has heard each run.
CREATE TABLE heard (
    reader   TEXT NOT NULL,                  -- its name
    run_id   INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE, -- whose records
    next_seq INTEGER NOT NULL DEFAULT 0,     -- records that the far side has [records]
    state    TEXT NOT NULL DEFAULT '',       -- run.state as last told
    attempt  INTEGER NOT NULL DEFAULT 0,     -- run.attempt as last told
    memo     TEXT NOT NULL DEFAULT '',       -- what the reader keeps for itself
    blocked  TEXT NOT NULL DEFAULT '',       -- why the far side refused the run for good; '' it did not
    PRIMARY KEY (reader, run_id)
) STRICT, WITHOUT ROWID;

-- Words that people put on runs.
CREATE TABLE tag (
    run_id INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE, -- on which
    tag    TEXT NOT NULL CHECK (tag <> ''),  -- one word
    PRIMARY KEY (run_id, tag)
) STRICT, WITHOUT ROWID;

-- Sentences that people wrote about runs.
CREATE TABLE note (
    id     INTEGER PRIMARY KEY,              -- order
    run_id INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE, -- about which
    at_s   REAL NOT NULL,                    -- when [s]
    text   TEXT NOT NULL                     -- what
) STRICT;
CREATE INDEX note_run ON note (run_id, id);
