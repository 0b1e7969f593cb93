package noun

import (
	"math/rand/v2"
	"strings"
)

// EventIDs makes the ids of one log's entries, such as evt_Tq9w2LmXc4Za, and reads the entry's seq back from an id: no
// index of ids is needed. The value is the log's own offset, drawn by NewEventIDs and kept with the log; without it an id
// tells nothing. Ids of a log are distinct as long as its seqs are; ids of two logs are as distinct as random ones.
//
// Half of the twelve characters is salt, the other half is seq + offset + mix(salt) modulo 62⁶, both in base 62.
type EventIDs uint64

// eventHalf is the length of each half of an event id, eventSpan the number of values that it has: a log's seqs stay
// below it.
const (
	eventHalf = longLength / 2
	eventSpan = 62 * 62 * 62 * 62 * 62 * 62
)

// NewEventIDs draws the offset of a new log.
func NewEventIDs() EventIDs { return EventIDs(rand.Uint64N(eventSpan)) }

// New draws an id for the entry with this seq.
func (o EventIDs) New(seq int64) string {
	var id [4 + longLength]byte
	copy(id[:], "evt_")
	for {
		salt := rand.Uint64N(eventSpan)
		putDigits(id[4:4+eventHalf], salt)
		putDigits(id[4+eventHalf:], (uint64(seq)+o.shift(salt))%eventSpan)
		if !rude(id[4:]) {
			return string(id[:])
		}
	}
}

// Seq reads the seq that an id was made for; false for what cannot be an id of an entry. Whether the log has an entry
// with this seq and this very id is for the caller to look up.
func (o EventIDs) Seq(id string) (seq int64, ok bool) {
	suffix, ok := strings.CutPrefix(id, "evt_")
	if !ok || len(suffix) != longLength {
		return 0, false
	}
	salt, okSalt := fromDigits(suffix[:eventHalf])
	sum, okSum := fromDigits(suffix[eventHalf:])
	if !okSalt || !okSum {
		return 0, false
	}
	return int64((sum + eventSpan - o.shift(salt)) % eventSpan), true
}

// EventIDsOf finds the offset of a log by the id of one of its entries and the entry's seq; false for what cannot be an id.
func EventIDsOf(id string, seq int64) (EventIDs, bool) {
	sum, ok := EventIDs(0).Seq(id)
	return EventIDs((uint64(sum) + eventSpan - uint64(seq)%eventSpan) % eventSpan), ok
}

// shift is what is added to a seq beside a salt; below eventSpan.
func (o EventIDs) shift(salt uint64) uint64 {
	mixed := salt * 0x9E3779B97F4A7C15
	return (uint64(o) + (mixed^mixed>>32)%eventSpan) % eventSpan
}

// putDigits writes v in base 62, all of b, the last digit first.
func putDigits(b []byte, v uint64) {
	for i := range b {
		b[i] = alphabet[v%62]
		v /= 62
	}
}

// fromDigits reads what putDigits wrote.
func fromDigits(s string) (v uint64, ok bool) {
	for i := len(s) - 1; i >= 0; i-- {
		d := strings.IndexByte(alphabet, s[i])
		if d < 0 {
			return 0, false
		}
		v = v*62 + uint64(d)
	}
	return v, true
}
