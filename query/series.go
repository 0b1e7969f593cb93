package query

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

var stepLiteral = regexp.MustCompile(`^([0-9]{1,6})(mo|m|h|d|w|q|y)$`)

// series works out the instants of a series.
func (p *aggregatePlan) series(q Aggregate) error {
	if q.Every == "" {
		if q.From != "" || q.To != "" {
			return invalid("every", "from and to need every: 1d, 1w, 1mo …")
		}
		return nil
	}
	step, ok := parseStep(q.Every)
	if !ok {
		return invalid("every", "every is a number and m, h, d, w, mo, q or y, as in 1w, not %q", short(q.Every))
	}
	from, ok := parseMoment(q.From, p.now)
	if !ok {
		return invalid("from", "from is an instant, not %q", short(q.From))
	}
	to := p.now
	if q.To != "" {
		if to, ok = parseMoment(q.To, p.now); !ok {
			return invalid("to", "to is an instant, not %q", short(q.To))
		}
	}
	for i := 0; ; i++ {
		t := step(from, i)
		if t.After(to) || t.Year() > 9999 {
			break
		}
		if len(p.instants) == maxInstants {
			return invalid("every", "the series has more than %d instants", maxInstants)
		}
		p.instants = append(p.instants, t)
	}
	if len(p.instants) == 0 {
		return invalid("to", "to lies before from")
	}
	return nil
}

// parseStep gives the function that adds a step n times. Months are added to the start, so that the day of the month stays.
func parseStep(text string) (func(from time.Time, n int) time.Time, bool) {
	m := stepLiteral.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return nil, false
	}
	size, _ := strconv.Atoi(m[1]) // at most six digits
	if size == 0 {
		return nil, false
	}
	switch m[2] {
	case "mo", "q", "y":
		months := map[string]int{"mo": 1, "q": 3, "y": 12}[m[2]] * size
		return func(from time.Time, n int) time.Time { return addMonths(from, months*n) }, true
	}
	length := map[string]time.Duration{"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour}[m[2]]
	return func(from time.Time, n int) time.Time {
		return from.Add(time.Duration(size) * time.Duration(n) * length)
	}, true
}

// addMonths adds months; of a month that is too short the last day.
func addMonths(t time.Time, months int) time.Time {
	out := t.AddDate(0, months, 0)
	if out.Day() != t.Day() {
		out = out.AddDate(0, 0, -out.Day())
	}
	return out
}
