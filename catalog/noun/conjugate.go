package noun

import "strings"

// forms are the conjugated forms of a verb.
type forms struct{ act, activity, event string }

// irregular gives the forms that no rule yields.
func irregular(action string) (forms, bool) {
	switch action {
	case "be":
		return forms{"is", "being", "been"}, true
	case "begin":
		return forms{"begins", "beginning", "begun"}, true
	case "cancel":
		return forms{"cancels", "cancelling", "cancelled"}, true
	case "cut":
		return forms{"cuts", "cutting", "cut"}, true
	case "do":
		return forms{"does", "doing", "done"}, true
	case "get":
		return forms{"gets", "getting", "got"}, true
	case "go":
		return forms{"goes", "going", "gone"}, true
	case "have":
		return forms{"has", "having", "had"}, true
	case "hit":
		return forms{"hits", "hitting", "hit"}, true
	case "lose":
		return forms{"loses", "losing", "lost"}, true
	case "pay":
		return forms{"pays", "paying", "paid"}, true
	case "put":
		return forms{"puts", "putting", "put"}, true
	case "read":
		return forms{"reads", "reading", "read"}, true
	case "reset":
		return forms{"resets", "resetting", "reset"}, true
	case "rollback":
		return forms{"rollsBack", "rollingBack", "rolledBack"}, true
	case "rollout":
		return forms{"rollsOut", "rollingOut", "rolledOut"}, true
	case "run":
		return forms{"runs", "running", "run"}, true
	case "send":
		return forms{"sends", "sending", "sent"}, true
	case "set":
		return forms{"sets", "setting", "set"}, true
	case "snapshot":
		return forms{"snapshots", "snapshotting", "snapshotted"}, true
	case "win":
		return forms{"wins", "winning", "won"}, true
	case "write":
		return forms{"writes", "writing", "written"}, true
	}
	return forms{}, false
}

// Conjugate gives the forms of a verb that nobody declared, such as create: its past is computed. It merges its body
// and has no effects.
func Conjugate(action string) Verb {
	f := conjugate(action)
	return verb(action, f, strings.ToUpper(f.event[:min(1, len(f.event))])+f.event[min(1, len(f.event)):])
}

// declare gives the forms of a verb whose past form is declared: the declared form wins over the computed one.
func declare(action, past string) Verb {
	f := conjugate(action)
	f.event = strings.ToLower(past[:1]) + past[1:]
	base := strings.ToLower(action)
	if last := base[len(base)-1:]; strings.EqualFold(past, base+last+"ed") {
		f.activity = base + last + "ing"
	}
	return verb(action, f, past)
}

func verb(action string, f forms, past string) Verb {
	return Verb{
		Action: action, Act: f.act, Activity: f.activity, Event: f.event, Declared: past,
		ReverseBy: f.event + "By", ReverseAt: f.event + "At", ReverseIn: f.event + "In",
		Merges: true,
	}
}

// conjugate follows the rules of English spelling.
func conjugate(action string) forms {
	base := strings.ToLower(action)
	if f, ok := irregular(base); ok {
		return f
	}
	if base == "" {
		return forms{}
	}
	return forms{act: thirdPerson(base), activity: gerund(base), event: past(base)}
}

func thirdPerson(base string) string {
	switch {
	case sibilant(base):
		return base + "es"
	case consonantY(base):
		return base[:len(base)-1] + "ies"
	}
	return base + "s"
}

func gerund(base string) string {
	switch {
	case strings.HasSuffix(base, "ie"):
		return base[:len(base)-2] + "ying"
	case strings.HasSuffix(base, "e") && !strings.HasSuffix(base, "ee"):
		return base[:len(base)-1] + "ing"
	case doubles(base):
		return base + base[len(base)-1:] + "ing"
	}
	return base + "ing"
}

func past(base string) string {
	switch {
	case strings.HasSuffix(base, "e"):
		return base + "d"
	case consonantY(base):
		return base[:len(base)-1] + "ied"
	case doubles(base):
		return base + base[len(base)-1:] + "ed"
	}
	return base + "ed"
}

// doubles says whether the last letter is written twice before a vowel: one consonant after one vowel, in a word that
// is stressed on its last syllable.
func doubles(base string) bool {
	n := len(base)
	if n < 2 || isVowel(base, n-1) || !isVowel(base, n-2) || n > 2 && isVowel(base, n-3) {
		return false
	}
	if strings.IndexByte("wxy", base[n-1]) >= 0 || base[n-1] < 'a' || base[n-1] > 'z' {
		return false
	}
	return syllables(base) == 1 || stressedLast(base)
}

// stressedLast knows the longer words that are stressed on the last syllable. Spelling does not tell.
func stressedLast(base string) bool {
	switch base {
	case "submit", "commit", "permit", "omit", "admit", "emit", "transmit", "refer", "prefer", "defer", "occur", "recur",
		"begin", "equip", "transfer", "control":
		return true
	}
	return false
}

// syllables counts the groups of vowels.
func syllables(base string) int {
	n := 0
	for i := range len(base) {
		if isVowel(base, i) && (i == 0 || !isVowel(base, i-1)) {
			n++
		}
	}
	return n
}

// isVowel counts u after q as a consonant, and y as a vowel except at the start.
func isVowel(s string, i int) bool {
	switch s[i] {
	case 'a', 'e', 'i', 'o':
		return true
	case 'u':
		return i == 0 || s[i-1] != 'q'
	case 'y':
		return i > 0
	}
	return false
}

// sibilant says whether an s cannot follow without an e.
func sibilant(word string) bool {
	for _, end := range []string{"s", "x", "z", "ch", "sh"} {
		if strings.HasSuffix(word, end) {
			return true
		}
	}
	return false
}

// consonantY says whether the word ends in a y that follows a consonant.
func consonantY(word string) bool {
	n := len(word)
	return n > 1 && word[n-1] == 'y' && strings.IndexByte("aeiou", word[n-2]) < 0
}
