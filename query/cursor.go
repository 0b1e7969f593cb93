package query

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"io"
	"strings"
	"time"

	"headless.ly/catalog/problem"
)

// A cursor is "q1." and, in base64url: issued, now (8 bytes each, milliseconds since 1970), score (8), seq (8), the query's
// hash (16), and the first 16 bytes of an HMAC-SHA256 of all before. All big endian.
//
// It names the last row of its page by the event that wrote the row as it was then; the sort values are read from that
// event. So a cursor has the same size for every sort, and a row that changes between two pages moves no other row.
const (
	cursorPrefix = "q1."
	hashBytes    = 16
	cursorBytes  = 4*8 + hashBytes
	macBytes     = 16
)

// cursorLife is how long a cursor may lie idle.
const cursorLife = 10 * time.Minute

// cursor is where a page ended.
type cursor struct {
	issued time.Time
	now    time.Time // the first page's: relative literals mean the same on every page
	score  int64     // of a relevance order
	seq    int64     // of the event that wrote the last row
	query  [hashBytes]byte
}

// queryHash binds a cursor to what it continues.
func queryHash(parts ...string) (h [hashBytes]byte) {
	d := sha256.New()
	for _, p := range parts {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(p)))
		_, _ = d.Write(size[:]) // hashes do not fail
		_, _ = io.WriteString(d, p)
	}
	copy(h[:], d.Sum(nil))
	return h
}

// sealer makes and opens cursors.
type sealer struct{ secret []byte }

func (s sealer) seal(c cursor) string {
	b := make([]byte, 0, cursorBytes+macBytes)
	b = binary.BigEndian.AppendUint64(b, uint64(c.issued.UnixMilli()))
	b = binary.BigEndian.AppendUint64(b, uint64(c.now.UnixMilli()))
	b = binary.BigEndian.AppendUint64(b, uint64(c.score))
	b = binary.BigEndian.AppendUint64(b, uint64(c.seq))
	b = append(b, c.query[:]...)
	b = append(b, s.mac(b)...)
	return cursorPrefix + base64.RawURLEncoding.EncodeToString(b)
}

func (s sealer) mac(b []byte) []byte {
	m := hmac.New(sha256.New, s.secret)
	_, _ = m.Write(b)
	return m.Sum(nil)[:macBytes]
}

// open reads a cursor for a query; every refusal is an invalid_cursor.
func (s sealer) open(text string, query [hashBytes]byte, now time.Time) (cursor, error) {
	encoded, ok := strings.CutPrefix(text, cursorPrefix)
	b, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if !ok || err != nil || len(b) != cursorBytes+macBytes || !hmac.Equal(b[cursorBytes:], s.mac(b[:cursorBytes])) {
		return cursor{}, problem.New(problem.InvalidCursor, "the cursor is none of ours")
	}
	field := func(i int) int64 { return int64(binary.BigEndian.Uint64(b[8*i:])) }
	c := cursor{
		issued: time.UnixMilli(field(0)),
		now:    time.UnixMilli(field(1)),
		score:  field(2),
		seq:    field(3),
	}
	copy(c.query[:], b[4*8:])
	switch {
	case c.query != query:
		return cursor{}, problem.New(problem.InvalidCursor, "the cursor belongs to another query: only limit, fields and include may change")
	case now.Sub(c.issued) > cursorLife:
		return cursor{}, problem.New(problem.InvalidCursor, "the cursor has expired: it lives %s", cursorLife)
	}
	return c, nil
}
