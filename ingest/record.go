package ingest

import (
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"headless.ly/lakehouse"
)

// record is an event and its entity's row number, the seq of the entity's first event.
type record struct {
	lakehouse.Event
	row int64
}

// state is what the log knows of an entity without its document: that is the data of event seq.
type state struct {
	noun    string
	row     int64
	seq     int64
	version int64
	deleted bool
}

// errNotInLog says that the log does not have an event: it never had it, or has let it go.
var errNotInLog = errors.New("is not in the log")

// ErrCorrupt is wrapped by every error about a row whose content does not match its checksum.
var ErrCorrupt = fmt.Errorf("checksum mismatch")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendText and appendInts put values in the form that checksums are taken of.
func appendText(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(s))), s...)
}

func appendInts(b []byte, values ...int64) []byte {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint64(b, uint64(v))
	}
	return b
}

func crcBytes(crc uint32, b []byte) uint32 {
	var n [5]byte
	if b != nil {
		n[0] = 1
	}
	binary.LittleEndian.PutUint32(n[1:], uint32(len(b)))
	crc = crc32.Update(crc, castagnoli, n[:])
	return crc32.Update(crc, castagnoli, b)
}

// sum is the checksum of a log row: the CRC of data in the upper half, so that a document can be checked alone, and the
// CRC of all other columns in the lower.
func (r *record) sum() int64 {
	b := appendInts(make([]byte, 0, 512), r.Seq, r.row, r.Timestamp, r.Version)
	for _, s := range [...]string{r.ID, r.Kind, r.Type, r.Entity, r.Target, r.Verb, r.Actor, r.Source, r.RequestID, r.Cause} {
		b = appendText(b, s)
	}
	crc := crc32.Checksum(b, castagnoli)
	for _, b := range [...][]byte{r.Input, r.Changes, r.Before} {
		crc = crcBytes(crc, b)
	}
	return dataSum(r.Data) | int64(crc)
}

func dataSum(data []byte) int64 { return int64(uint64(crc32.Checksum(data, castagnoli)) << 32) }

// sum is the checksum of a state row.
func (s *state) sum(id string) int64 {
	deleted := int64(0)
	if s.deleted {
		deleted = 1
	}
	b := appendInts(make([]byte, 0, 128), s.row, s.seq, s.version, deleted)
	return int64(crc32.Checksum(appendText(appendText(b, s.noun), id), castagnoli))
}

// insert writes the record to the log.
func (r *record) insert(c *conn) error {
	return c.exec(sqlInsertLog, r.Seq, r.row, r.Timestamp, r.ID, r.Kind, r.Type, r.Entity, r.Target, r.Verb, r.Actor, r.Version,
		r.Source, r.RequestID, r.Cause, r.Input, r.Changes, r.Before, r.Data, r.sum())
}

// scanRecord reads a row of logColumns, checks it, and gives its fields their present names.
func (c *conn) scanRecord(v []driver.Value) (*record, error) {
	r, err := readRecord(v)
	if err != nil {
		return nil, err
	}
	return r, today(c.plans, &r.Event)
}

// readRecord reads a row of logColumns as it was written, and checks it.
func readRecord(v []driver.Value) (*record, error) {
	var row values
	r := &record{row: row.int(v[1]), Event: lakehouse.Event{
		Seq: row.int(v[0]), Timestamp: row.int(v[2]), ID: row.text(v[3]), Kind: row.text(v[4]), Type: row.text(v[5]), Entity: row.text(v[6]),
		Target: row.text(v[7]), Verb: row.text(v[8]), Actor: row.text(v[9]), Version: row.int(v[10]), Source: row.text(v[11]),
		RequestID: row.text(v[12]), Cause: row.text(v[13]), Input: blob(v[14]), Changes: blob(v[15]), Before: blob(v[16]), Data: blob(v[17]),
	}}
	if crc := row.int(v[18]); row.odd || r.sum() != crc {
		return nil, fmt.Errorf("event %d: %w", r.Seq, ErrCorrupt)
	}
	return r, nil
}

// values reads columns of a row. A damaged file may hold values of other types than were written.
type values struct{ odd bool }

func (r *values) int(v driver.Value) int64 {
	n, ok := v.(int64)
	r.odd = r.odd || !ok
	return n
}

func (r *values) text(v driver.Value) string {
	s, ok := v.(string)
	r.odd = r.odd || !ok
	return s
}

func blob(v driver.Value) []byte {
	b, _ := v.([]byte)
	return b
}

// getState reads an entity's state; nil where there is none.
func (c *conn) getState(id string) (s *state, err error) {
	err = c.query(sqlGetState, func(v []driver.Value) error {
		if s, err = readState(id, v); err != nil {
			return err
		}
		return errStop
	}, id)
	return s, err
}

// readState reads the columns noun, row, seq, version, deleted and crc of an entity's state, and checks them.
func readState(id string, v []driver.Value) (*state, error) {
	var row values
	s := &state{noun: row.text(v[0]), row: row.int(v[1]), seq: row.int(v[2]), version: row.int(v[3]), deleted: row.int(v[4]) != 0}
	if crc := row.int(v[5]); row.odd || s.sum(id) != crc {
		return nil, fmt.Errorf("state of %s: %w", id, ErrCorrupt)
	}
	return s, nil
}

// getClaim finds who holds a unique value; empty where nobody does.
func (c *conn) getClaim(k claim) (id string, err error) {
	err = c.query(sqlGetClaim, func(v []driver.Value) error {
		var row values
		if id = row.text(v[0]); row.odd {
			return fmt.Errorf("claim of %s.%s: %w", k.noun, k.field, ErrCorrupt)
		}
		return errStop
	}, k.noun, k.field, k.value)
	return id, err
}

// getData reads the document of an event, fields under their present names.
func (c *conn) getData(seq int64) (data []byte, err error) {
	err = c.query(sqlGetData, func(v []driver.Value) error {
		var row values
		data = blob(v[0])
		if crc := row.int(v[1]); row.odd || dataSum(data) != crc&^0xffffffff {
			return fmt.Errorf("event %d: %w", seq, ErrCorrupt)
		}
		if data, err = c.todayData(data); err != nil {
			return fmt.Errorf("event %d: %w", seq, err)
		}
		return errStop
	}, seq)
	if err == nil && data == nil {
		err = fmt.Errorf("event %d %w", seq, errNotInLog)
	}
	return data, err
}

// getRecord reads the one event that a statement over logColumns finds; nil where there is none.
func (c *conn) getRecord(query string, args ...any) (r *record, err error) {
	err = c.query(query, func(v []driver.Value) (err error) {
		if r, err = c.scanRecord(v); err != nil {
			return err
		}
		return errStop
	}, args...)
	return r, err
}

// getInt reads one integer; ok is false where there is no row.
func (c *conn) getInt(query string, args ...any) (n int64, ok bool, err error) {
	err = c.query(query, func(v []driver.Value) error {
		var row values
		if n, ok = row.int(v[0]), true; row.odd {
			return fmt.Errorf("a number: %w", ErrCorrupt)
		}
		return errStop
	}, args...)
	return n, ok, err
}
