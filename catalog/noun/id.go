package noun

import (
	"crypto/rand"
	"strings"
)

// Lengths of the random part of an id. Eight characters are 47 bits: the writer of a tenant retries when one is taken.
// Instances of Event come by the million and get twelve, as many as
// entries of the log (EventIDs).
const (
	idLength   = 8
	longLength = 12

	minSuffix = 5
	maxSuffix = 32
)

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// IDLen is the number of random characters of a new id.
func (n *Noun) IDLen() int { return n.idLength }

// NewID draws an id for a new instance, such as contact_fX9bL5nR. It may be taken already: the caller looks.
func (n *Noun) NewID() string { return newID(n.IDPrefix, n.idLength) }

// NewRequestID draws the id of a request.
func NewRequestID() string { return newID("req", longLength) }

// NewJobID gives a new job_ id.
func NewJobID() string { return newID("job", longLength) }

// newID draws until the suffix reads clean. It asks the system each time: that costs a fraction of a microsecond, and a
// shared pool of random bytes would have to be guarded.
func newID(prefix string, length int) string {
	id := make([]byte, 0, 48)
	id = append(append(id, prefix...), '_')
	start := len(id)
	for {
		id = appendRandom(id[:start], length)
		if !rude(id[start:]) {
			return string(id)
		}
	}
}

// appendRandom appends random characters of the alphabet, all equally likely.
func appendRandom(b []byte, count int) []byte {
	var pool [longLength + 4]byte
	for {
		_, _ = rand.Read(pool[:]) // never fails: the program ends if the system has no randomness
		for _, r := range pool {
			if count == 0 {
				return b
			}
			if r &= 63; int(r) < len(alphabet) {
				b = append(b, alphabet[r])
				count--
			}
		}
	}
}

// IsID says whether a text looks like an id: letters, an underscore, 5 to 32 letters or digits. The prefix may be in any
// case.
func IsID(s string) bool {
	prefix, suffix, ok := strings.Cut(s, "_")
	if !ok || prefix == "" || len(suffix) < minSuffix || len(suffix) > maxSuffix {
		return false
	}
	for i := range len(prefix) {
		if !isLetter(prefix[i]) {
			return false
		}
	}
	for i := range len(suffix) {
		if !isLetter(suffix[i]) && !isDigit(suffix[i]) {
			return false
		}
	}
	return true
}

// rude says whether a word that nobody wants to read aloud stands in the text, digits read as the letters they look
// like.
func rude(suffix []byte) bool {
	var letters [maxSuffix]byte
	text := letters[:copy(letters[:], suffix)]
	for i, c := range text {
		text[i] = letterOf(c)
	}
	for i := range text {
		if i+3 <= len(text) && rudeStart(string(text[i:i+3])) || i+4 <= len(text) && rudeRoot(string(text[i:i+4])) {
			return true
		}
	}
	return false
}

// letterOf reads a digit as the letter it looks like, and a capital as a small letter.
func letterOf(c byte) byte {
	switch c {
	case '0':
		return 'o'
	case '1':
		return 'i'
	case '3':
		return 'e'
	case '4':
		return 'a'
	case '5':
		return 's'
	case '7':
		return 't'
	case '8':
		return 'b'
	case '9':
		return 'g'
	}
	return c | 0x20
}

func rudeStart(s string) bool {
	switch s {
	case "ass", "cum", "fag", "fuc", "fuk", "jap", "kkk", "poo", "sex", "tit":
		return true
	}
	return false
}

func rudeRoot(s string) bool {
	switch s {
	case "anal", "anus", "arse", "bitc", "boob", "butt", "clit", "cock", "coon", "crap", "cunt", "damn", "dick",
		"dild", "dyke", "gook", "hate", "heil", "hell", "homo", "jerk", "jizz", "kike", "kill", "merd", "milf",
		"nazi", "nega", "negr", "nigg", "nigr", "nude", "orgy", "paki", "peni", "piss", "porn", "pube", "puss", "puta",
		"rape", "rapi", "scum", "shit", "slag", "slut", "smut", "spic", "suck", "turd", "twat", "vagi", "wank", "whor":
		return true
	}
	return false
}
