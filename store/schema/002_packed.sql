-- Stretches of 8,192 records, packed: what record and value say, once more, to be read in one go.
-- Only a copy: whoever changes record or value loses the stretches that it touches (see the triggers),
-- and what is not here is read from there. bnexp's own writer switches triggers off and keeps both.
CREATE TABLE packed (
    run_id    INTEGER NOT NULL,              -- whose
    key_id    INTEGER NOT NULL,              -- what: metric_key.id; 0: step and time of every record
    first_seq INTEGER NOT NULL CHECK (first_seq % 8192 = 0), -- its first record
    last_seq  INTEGER NOT NULL,              -- its last record: first_seq + 8191, or fewer when the run has ended
    count     INTEGER NOT NULL,              -- numbers in it
    body      BLOB NOT NULL,                 -- columns as store/pack.h has them: seq and number, or seq, step and wall_s
    PRIMARY KEY (run_id, key_id, first_seq)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER value_added AFTER INSERT ON value BEGIN
    DELETE FROM packed
    WHERE run_id = new.run_id AND key_id = new.key_id AND first_seq = new.seq - new.seq % 8192;
END;
CREATE TRIGGER value_changed AFTER UPDATE ON value BEGIN
    DELETE FROM packed
    WHERE run_id = old.run_id AND key_id = old.key_id AND first_seq = old.seq - old.seq % 8192;
    DELETE FROM packed
    WHERE run_id = new.run_id AND key_id = new.key_id AND first_seq = new.seq - new.seq % 8192;
END;
CREATE TRIGGER value_removed AFTER DELETE ON value BEGIN
    DELETE FROM packed
    WHERE run_id = old.run_id AND key_id = old.key_id AND first_seq = old.seq - old.seq % 8192;
END;

CREATE TRIGGER record_added AFTER INSERT ON record BEGIN
    DELETE FROM packed
    WHERE run_id = new.run_id AND key_id = 0 AND first_seq = new.seq - new.seq % 8192;
END;
CREATE TRIGGER record_changed AFTER UPDATE ON record BEGIN
    DELETE FROM packed
    WHERE run_id = old.run_id AND key_id = 0 AND first_seq = old.seq - old.seq % 8192;
    DELETE FROM packed
    WHERE run_id = new.run_id AND key_id = 0 AND first_seq = new.seq - new.seq % 8192;
END;
CREATE TRIGGER record_removed AFTER DELETE ON record BEGIN
    DELETE FROM packed
    WHERE run_id = old.run_id AND key_id = 0 AND first_seq = old.seq - old.seq % 8192;
END;
