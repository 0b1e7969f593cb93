package query

import (
	"context"
	"errors"
	"slices"
	"strings"

	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
	"headless.ly/lakehouse"
)

// Limits of an events page (interfaces.md 3.3).
const (
	defaultEvents = 100
	maxEvents     = 1000
	maxScanned    = 200_000 // events looked at for one page; a page may end early, with hasMore
)

// Events gives one page of the log.
func (r *Reader) Events(ctx context.Context, tenant string, q EventQuery) (EventPage, error) {
	if q.Limit == 0 {
		q.Limit = defaultEvents
	}
	if q.Limit < 1 || q.Limit > maxEvents {
		return EventPage{}, problem.New(problem.LimitExceeded, "limit is 1 to %d", maxEvents)
	}
	if q.Order != "" && q.Order != "asc" && q.Order != "desc" {
		return EventPage{}, invalid("order", "order is asc or desc")
	}
	if n, ok := r.nouns.Resolve(q.Noun); ok {
		q.Noun = n.Name
	}
	at, err := r.fix(ctx, tenant, Options{Strong: q.Strong, AsOf: q.AsOf, MinSeq: q.MinSeq}, r.now())
	if err != nil {
		return EventPage{}, err
	}
	within, err := r.eventRange(ctx, tenant, q, at)
	if err != nil {
		return EventPage{}, err
	}
	page := EventPage{Cursor: q.Cursor, At: at}
	if page.Cursor == "" && isEventID(q.After) {
		page.Cursor = q.After
	}
	if within.Upto <= within.After { // an empty range; to the log, Upto 0 would be the head
		return page, nil
	}
	return page, r.readEvents(ctx, tenant, q, within, &page)
}

// readEvents fills a page with the events of a range that match.
func (r *Reader) readEvents(ctx context.Context, tenant string, q EventQuery, within lakehouse.Range, page *EventPage) error {
	matches := r.eventMatcher(q)
	scanned := 0
	var last *lakehouse.Event
	err := r.log.Read(ctx, tenant, within, func(e *lakehouse.Event) error {
		if scanned++; scanned > maxScanned {
			page.HasMore = true
			page.Cursor = last.ID
			return errEnough
		}
		last = e
		if !matches(e) {
			return nil
		}
		if len(page.Events) == q.Limit {
			page.HasMore = true
			return errEnough
		}
		page.Events = append(page.Events, e)
		page.Cursor = e.ID
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// eventMatcher gives the condition on single events.
func (r *Reader) eventMatcher(q EventQuery) func(*lakehouse.Event) bool {
	pattern := ParsePattern(r.nouns, q.Type)
	verbs := names(strings.Split(strings.ToLower(q.Verb), ","))
	return func(e *lakehouse.Event) bool {
		switch {
		case q.Type != "" && !pattern.Match(e),
			q.Target != "" && e.Target != q.Target,
			q.Noun != "" && e.Entity != q.Noun,
			q.Actor != "" && e.Actor != q.Actor,
			len(verbs) > 0 && !slices.Contains(verbs, strings.ToLower(e.Verb)):
			return false
		}
		return true
	}
}

// eventBound is one end of an events query.
type eventBound struct {
	name, text string
	lower      bool
	event      bool // an event id is allowed
}

// eventRange narrows the log to what a query can match.
func (r *Reader) eventRange(ctx context.Context, tenant string, q EventQuery, at At) (lakehouse.Range, error) {
	within := lakehouse.Range{Upto: at.Seq, Noun: q.Noun, Target: q.Target, Desc: q.Order == "desc"}
	if within.Noun == "" && q.Target != "" {
		prefix, _, _ := strings.Cut(q.Target, "_")
		if n, ok := r.nouns.ByPrefix(prefix); ok {
			within.Noun = n.Name
		} else {
			within.Target = "" // the log finds an entity by noun and id only
		}
	}
	if within.Noun == "" {
		within.Noun = ParsePattern(r.nouns, q.Type).noun()
	}
	bounds := []eventBound{
		{"since", q.Since, true, false},
		{"until", q.Until, false, false},
		{"after", q.After, true, true},
		{"before", q.Before, false, true},
		{"cursor", q.Cursor, !within.Desc, true},
	}
	for _, b := range bounds {
		if b.text == "" {
			continue
		}
		seq, err := r.eventBound(ctx, tenant, at, b)
		if err != nil {
			return within, err
		}
		if b.lower {
			within.After = max(within.After, seq)
		} else {
			within.Upto = min(within.Upto, seq)
		}
	}
	return within, nil
}

// eventBound gives the seq at which a bound cuts: events behind it are left if it is a lower one, else those up to it. An
// event id is exclusive, an instant inclusive.
func (r *Reader) eventBound(ctx context.Context, tenant string, at At, b eventBound) (int64, error) {
	if b.event && isEventID(b.text) {
		seq, err := r.log.EventSeq(ctx, tenant, b.text)
		if err == nil && seq == 0 {
			err = problem.New(problem.InvalidCursor, "no event %q", b.text)
		}
		if !b.lower {
			seq--
		}
		return seq, err
	}
	now := r.now()
	t, ok := parseMoment(b.text, now)
	switch {
	case b.name == "cursor":
		return 0, problem.New(problem.InvalidCursor, "%q is no event id", b.text)
	case !ok:
		return 0, invalid(b.name, "%q is no instant", b.text)
	case b.lower:
		t = t.Add(-1)
	}
	if !t.Before(now) { // the log must not be asked about what is not over
		return at.Seq, nil
	}
	return r.log.SeqAt(ctx, tenant, t)
}

func isEventID(text string) bool { return strings.HasPrefix(text, "evt_") && noun.IsID(text) }

// Event gives one event by its evt_ id.
func (r *Reader) Event(ctx context.Context, tenant, id string) (*lakehouse.Event, error) {
	missing := problem.New(problem.NotFound, "no event %q", id)
	missing.ID = id
	seq, err := r.log.EventSeq(ctx, tenant, id)
	if err != nil {
		return nil, err
	}
	if seq == 0 {
		return nil, missing
	}
	var found *lakehouse.Event
	err = r.log.Read(ctx, tenant, lakehouse.Range{After: seq - 1, Upto: seq}, func(e *lakehouse.Event) error {
		found = e
		return nil
	})
	if err == nil && found == nil {
		err = missing
	}
	return found, err
}
