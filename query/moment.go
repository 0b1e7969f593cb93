package query

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The spellings of an instant, beyond relative literals. time.Parse takes a fraction behind the seconds by itself.
// One without a zone is UTC; a date alone is the start of that day.
var instantLayouts = [...]string{
	"2006-01-02T15:04:05Z07:00",
	"2006-01-02T15:04:05Z0700",
	"2006-01-02T15:04:05Z07",
	"2006-01-02T15:04:05",
	"2006-01-02T15:04Z07:00",
	"2006-01-02T15:04",
	"2006-01-02",
}

var relativeLiteral = regexp.MustCompile(`^([0-9]{1,6})\s*(s|mo|m|h|d|w|y) ago$`)

// parseMoment reads an instant of interfaces.md 4.2: ISO 8601, a date, or a literal relative to now. It keeps
// microseconds and the years 1 to 9999, as the tables do.
func parseMoment(text string, now time.Time) (time.Time, bool) {
	text = strings.TrimSpace(text)
	if t, ok := relativeMoment(strings.ToLower(text), now.UTC()); ok {
		return t.Truncate(time.Microsecond), t.Year() > 0
	}
	if len(text) > 10 && (text[10] == ' ' || text[10] == 't') {
		text = text[:10] + "T" + text[11:]
	}
	if s, ok := strings.CutSuffix(text, "z"); ok {
		text = s + "Z"
	}
	for _, layout := range instantLayouts {
		if t, err := time.Parse(layout, text); err == nil {
			t = t.UTC().Truncate(time.Microsecond)
			return t, t.Year() > 0 && t.Year() <= 9999
		}
	}
	return time.Time{}, false
}

// relativeMoment reads now, today, yesterday and "<n><unit> ago".
func relativeMoment(text string, now time.Time) (time.Time, bool) {
	switch text {
	case "now":
		return now, true
	case "today":
		return day(now), true
	case "yesterday":
		return day(now).AddDate(0, 0, -1), true
	}
	m := relativeLiteral.FindStringSubmatch(text)
	if m == nil {
		return time.Time{}, false
	}
	n, _ := strconv.Atoi(m[1]) // at most six digits
	switch m[2] {
	case "mo":
		return now.AddDate(0, -n, 0), true
	case "y":
		return now.AddDate(-n, 0, 0), true
	case "w":
		return now.AddDate(0, 0, -7*n), true
	case "d":
		return now.AddDate(0, 0, -n), true
	case "h":
		return now.Add(-time.Duration(n) * time.Hour), true
	case "m":
		return now.Add(-time.Duration(n) * time.Minute), true
	}
	return now.Add(-time.Duration(n) * time.Second), true
}

// day is the midnight, UTC, that began the day of t.
func day(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }
