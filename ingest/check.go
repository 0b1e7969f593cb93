package ingest

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	"headless.ly/catalog/entity"
)

// Damage is one thing that is wrong with a log file.
type Damage struct {
	Part   Part
	Seq    int64  // of the event it is about; 0: none
	Upto   int64  // of the last of several in a row; Seq where it is one
	Entity string // id of the entity it is about; empty: none
	Detail string
}

// Part is a part of a log file.
type Part string

// The parts of a log file. The log is the truth; the others can be made from it.
const (
	PartLog   Part = "log"
	PartState Part = "state"
	PartClaim Part = "claim"
	PartTally Part = "tally"
	PartMeta  Part = "meta"
	PartKeys  Part = "idempotency"
	PartFile  Part = "file" // what SQLite's own check says of pages and indexes
)

const (
	// maxPages bounds what SQLite's check of a file reports.
	maxPages = 10
	// maxBad is how many seqs of damaged events are remembered, so that what follows from them is not told again.
	maxBad = 10_000
)

// Check looks at a whole log: that every event up to the head is there once and is as it was written, timestamps do not
// fall, versions rise by one, and replaying it gives the state, the claims and the tallies; that the file's pages and indexes
// are sound. Of trimmed events only those that states stand on are looked for. found hears what is wrong, in no particular order. stands gives a seq for nouns; the answer is how many
// entities of each live at that seq. rows hears how many rows were looked at since it was last called. Memory does not grow
// with the log. Whoever writes the log meanwhile is not disturbed.
func (l *LogFile) Check(ctx context.Context, stands map[string]int64, found func(Damage), rows func(int)) (live map[string]int64, err error) {
	k := &check{LogFile: l, ctx: ctx, found: found, rows: rows, stands: stands, live: map[string]int64{}, bad: map[int64]bool{}}
	for _, part := range []struct {
		name Part
		look func() error
	}{
		{PartFile, k.pages}, {PartLog, k.log}, {PartState, k.replay}, {PartState, k.states}, {PartClaim, k.claims},
		{PartTally, k.tallies}, {PartKeys, k.keys},
	} {
		err := part.look()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			found(Damage{Part: part.name, Detail: err.Error()})
		}
	}
	return k.live, nil
}

// check is one run of Check.
type check struct {
	*LogFile
	ctx    context.Context
	found  func(Damage)
	rows   func(int)
	stands map[string]int64
	live   map[string]int64
	bad    map[int64]bool // seqs of damaged events
}

// pages has SQLite check its own structures.
func (k *check) pages() error {
	return k.c.query(fmt.Sprintf("PRAGMA integrity_check(%d)", maxPages), func(v []driver.Value) error {
		if text, _ := v[0].(string); text != "ok" {
			k.found(Damage{Part: PartFile, Detail: text})
		}
		return nil
	})
}

// log looks at the events in order of seq.
func (k *check) log() error {
	if !k.known {
		k.found(Damage{Part: PartMeta, Detail: "the offset of the log's event ids cannot be read"})
	}
	var next, last int64 = 1, 0
	err := k.scan(k.ctx, 0, k.head, func(seq int64, r *record, err error) error {
		k.rows(1)
		k.gap(next, seq-1)
		next = seq + 1
		if err != nil {
			k.event(seq, seq, err.Error())
			return nil
		}
		switch id, ok := k.ids.Seq(r.ID); {
		case r.Timestamp < last:
			k.event(seq, seq, "its timestamp is before that of the event before it")
		case k.known && (!ok || id != seq):
			k.event(seq, seq, "its id "+r.ID+" is not one of this log's at this place")
		case r.row < 1 || r.row > seq || (r.row == seq) != (r.Version == 1):
			k.event(seq, seq, fmt.Sprintf("version %d of the entity with number %d cannot stand here", r.Version, r.row))
		}
		last = r.Timestamp
		return nil
	})
	if err == nil {
		k.gap(next, k.head)
	}
	return err
}

// gap reports events that are missing.
func (k *check) gap(from, upto int64) {
	if from = max(from, k.trimmed+1); from <= upto {
		k.event(from, upto, "missing from the log")
	}
}

func (k *check) event(from, upto int64, detail string) {
	for seq := from; seq <= upto && len(k.bad) < maxBad; seq++ {
		k.bad[seq] = true
	}
	k.found(Damage{Part: PartLog, Seq: from, Upto: upto, Detail: detail})
}

const (
	sqlEntities = "SELECT row, seq, version, target, entity FROM log WHERE (row, seq) > (?, ?) AND row <= ? ORDER BY row, seq LIMIT ?"
	sqlStates   = "SELECT noun, row, seq, version, deleted, crc, id FROM state WHERE id > ? ORDER BY id LIMIT ?"
	sqlClaims   = "SELECT noun, field, value, id FROM claim WHERE (noun, field, value) > (?, ?, ?) ORDER BY noun, field, value LIMIT ?"
	sqlLateKeys = "SELECT count(*) FROM idempotency WHERE seq > (SELECT coalesce(max(seq), 0) FROM log)"
	sqlTallies  = `SELECT s.noun, s.live, s.last, t.live, t.last FROM (SELECT noun, sum(deleted = 0) AS live, max(seq) AS last FROM state GROUP BY noun) s
		LEFT JOIN tally t ON t.noun = s.noun UNION ALL SELECT noun, 0, 0, live, last FROM tally WHERE noun NOT IN (SELECT noun FROM state)`
)

// history is what is known of one entity while its events go by.
type history struct {
	row, seq, version int64
	id, noun          string
	sound             bool
	stood             int64 // seq of its last event at or below its noun's stand; 0: none
}

// replay goes through the events entity by entity and compares where each ends with the state and the claims.
func (k *check) replay() error {
	var h history
	for {
		n := 0
		// One transaction, so that the state is that of the events read.
		err := k.inTransaction(func() error {
			return k.c.query(sqlEntities, func(v []driver.Value) error {
				n++
				return k.step(&h, v)
			}, h.row, h.seq, k.head, int64(pageRows))
		})
		if err != nil {
			return err
		}
		k.rows(n)
		if err := k.ctx.Err(); err != nil {
			return err
		}
		if n < pageRows {
			return k.inTransaction(func() error { return k.end(&h) })
		}
	}
}

func (k *check) inTransaction(f func() error) error {
	if err := k.c.exec("BEGIN"); err != nil {
		return err
	}
	return errors.Join(f(), k.c.exec("COMMIT"))
}

// step takes the next event; h is that of the entity before it.
func (k *check) step(h *history, v []driver.Value) error {
	var row values
	at := history{row: row.int(v[0]), seq: row.int(v[1]), version: row.int(v[2]), id: row.text(v[3]), noun: row.text(v[4]), sound: true}
	if at.row != h.row {
		if err := k.end(h); err != nil {
			return err
		}
		*h = history{row: at.row, sound: true}
	}
	switch {
	case row.odd || k.bad[at.seq]:
		h.sound = false
	case h.sound && h.version > 0 && (at.id != h.id || at.noun != h.noun):
		k.event(at.seq, at.seq, fmt.Sprintf("it is of %s, but the entity's event before it of %s", at.id, h.id))
		h.sound = false
	case h.sound && at.version != h.version+1 && !(at.version > h.version && max(h.seq, at.row) <= k.trimmed): // trimmed between
		k.event(at.seq, at.seq, fmt.Sprintf("version %d of %s follows version %d", at.version, at.id, h.version))
		h.sound = false
	}
	h.seq, h.version, h.id, h.noun = at.seq, at.version, at.id, at.noun
	if at.seq <= k.stands[at.noun] {
		h.stood = at.seq
	}
	return nil
}

// end compares an entity's last event with its state and its claims.
func (k *check) end(h *history) error {
	if h.version == 0 || !h.sound {
		return nil
	}
	s, err := k.c.getState(h.id)
	wrong := func(part Part, format string, args ...any) {
		k.found(Damage{Part: part, Seq: h.seq, Upto: h.seq, Entity: h.id, Detail: fmt.Sprintf(format, args...)})
	}
	doc, deleted, derr := k.document(h.seq)
	switch {
	case derr != nil:
		wrong(PartLog, "%v", derr)
		return nil
	case err != nil:
		wrong(PartState, "%v", err)
	case s == nil:
		wrong(PartState, "it has no state")
	case *s != (state{noun: h.noun, row: h.row, seq: h.seq, version: h.version, deleted: deleted}):
		wrong(PartState, "its state is version %d of event %d; its last event is version %d", s.version, s.seq, h.version)
	}
	if h.stood > 0 {
		gone := deleted
		if h.stood != h.seq {
			_, gone, derr = k.document(h.stood)
		}
		if derr == nil && !gone {
			k.live[h.noun]++
		}
	}
	p := k.plans[h.noun]
	if p == nil || deleted {
		return nil
	}
	for _, f := range p.uniques {
		value := uniqueText(doc, f.Name)
		if value == "" {
			continue
		}
		holder, err := k.c.getClaim(claim{h.noun, f.Name, value})
		switch {
		case err != nil:
			wrong(PartClaim, "%v", err)
		case holder == "":
			wrong(PartClaim, "its %s %q is not claimed", f.Name, value)
		case holder != h.id:
			wrong(PartClaim, "its %s %q is claimed by %s", f.Name, value, holder)
		}
	}
	return nil
}

// document reads an event's document under present names.
func (k *check) document(seq int64) (doc entity.Object, deleted bool, err error) {
	e, err := k.Event(seq)
	if err != nil {
		return nil, false, err
	}
	if e == nil {
		return nil, false, errors.New("missing from the log")
	}
	if doc, err = entity.ParseStored(e.Data); err != nil {
		return nil, false, err
	}
	v, _ := doc.Get("$deleted")
	return doc, v.Kind() == 't', nil
}

// states goes through the state and looks for what the log knows nothing of.
func (k *check) states() error {
	last := ""
	return k.pagewise(func() (int, error) {
		n := 0
		err := k.c.query(sqlStates, func(v []driver.Value) error {
			var row values
			n, last = n+1, row.text(v[6])
			s, err := readState(last, v)
			if err != nil {
				k.found(Damage{Part: PartState, Entity: last, Detail: err.Error()})
				return nil
			}
			if k.bad[s.seq] || s.seq > k.head {
				return nil
			}
			r, err := k.raw(s.seq)
			if err != nil || r == nil || r.Target != last {
				k.found(Damage{Part: PartState, Seq: s.seq, Upto: s.seq, Entity: last, Detail: "its state is of an event that is not its own"})
			}
			return nil
		}, last, int64(pageRows))
		return n, err
	})
}

// pagewise runs a page after the other until one is not full.
func (k *check) pagewise(page func() (int, error)) error {
	for {
		n, err := page()
		if err != nil {
			return err
		}
		k.rows(n)
		if n < pageRows || k.ctx.Err() != nil {
			return k.ctx.Err()
		}
	}
}

// claims goes through the claims and looks for such as nobody has a right to.
func (k *check) claims() error {
	var last claim
	return k.pagewise(func() (n int, err error) {
		err = k.inTransaction(func() error {
			return k.c.query(sqlClaims, func(v []driver.Value) error {
				var row values
				n, last = n+1, claim{row.text(v[0]), row.text(v[1]), row.text(v[2])}
				return k.held(last, row.text(v[3]))
			}, last.noun, last.field, last.value, int64(pageRows))
		})
		return n, err
	})
}

// held looks whether the holder of a claim has the value.
func (k *check) held(c claim, id string) error {
	s, err := k.c.getState(id)
	if err != nil || s != nil && k.bad[s.seq] {
		return nil // told already
	}
	value := ""
	if s != nil && s.noun == c.noun && !s.deleted {
		doc, _, err := k.document(s.seq)
		if err != nil {
			return nil // told already
		}
		value = uniqueText(doc, c.field)
	}
	if value != c.value {
		k.found(Damage{Part: PartClaim, Entity: id, Detail: fmt.Sprintf("it claims %s %q and does not have it", c.field, c.value)})
	}
	return nil
}

// tallies compares the counts with the state, in one transaction.
func (k *check) tallies() error {
	return k.c.query(sqlTallies, func(v []driver.Value) error {
		var row values
		noun, live, last := row.text(v[0]), row.int(v[1]), row.int(v[2])
		counted, seen := row.int(v[3]), row.int(v[4])
		if row.odd || live != counted || last != seen {
			k.found(Damage{Part: PartTally, Detail: fmt.Sprintf("%s: %v live and last changed at %v; the state says %d and %d", noun, v[3], v[4], live, last)})
		}
		return nil
	})
}

// keys looks for idempotency keys of events that are not there.
func (k *check) keys() error {
	late, _, err := k.c.getInt(sqlLateKeys)
	if err == nil && late > 0 {
		k.found(Damage{Part: PartKeys, Detail: fmt.Sprintf("%d keys are of events behind the log's end", late)})
	}
	return err
}
