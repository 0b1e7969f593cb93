package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"headless.ly/cmd/bench/load"
)

// variants is how many constants each query is asked with, so that no answer can be kept from the time before.
const variants = 8

// query is a filter and a sort, spelled for both servers and computed here. Each sort is total.
type query struct {
	name    string
	limit   int
	product func(k int) url.Values
	rival   func(k int) url.Values
	match   func(c *contact, k int) bool
	compare func(a, b *contact) int
}

func byEmail(a, b *contact) int { return cmp.Compare(a.email, b.email) }

// threshold is variant k's lead score.
func threshold(k int) int { return 30 + 7*k }

// productValues are list parameters of the product.
func productValues(filter, sort string, limit int) url.Values {
	return url.Values{"filter": {filter}, "sort": {sort}, "limit": {strconv.Itoa(limit)}}
}

func rivalValues(filter, sort string, limit int) url.Values {
	return url.Values{"filter": {filter}, "sort": {sort}, "perPage": {strconv.Itoa(limit)}}
}

// queries are the lists that are measured. None shows a contact that is created meanwhile (words.busy), nor a phone.
func queries() []query {
	return []query{
		{
			name: "stage = and leadScore ≥, by -leadScore", limit: 25,
			product: func(k int) url.Values {
				return url.Values{"stage": {"Qualified"}, "leadScore[$gte]": {strconv.Itoa(threshold(k))}, "sort": {"-leadScore,email"}}
			},
			rival: func(k int) url.Values {
				return rivalValues(fmt.Sprintf("stage='Qualified'&&leadScore>=%d", threshold(k)), "-leadScore,email", 25)
			},
			match:   func(c *contact, k int) bool { return c.stage == "Qualified" && c.leadScore >= threshold(k) },
			compare: func(a, b *contact) int { return cmp.Or(cmp.Compare(b.leadScore, a.leadScore), byEmail(a, b)) },
		},
		{
			name: "department = and leadScore <, by name", limit: 25,
			product: func(k int) url.Values {
				return productValues(fmt.Sprintf(`{"department":"Sales","leadScore":{"$lt":%d}}`, threshold(k)), "name,email", 25)
			},
			rival: func(k int) url.Values {
				return rivalValues(fmt.Sprintf("department='Sales'&&leadScore<%d", threshold(k)), "name,email", 25)
			},
			match:   func(c *contact, k int) bool { return c.department == "Sales" && c.leadScore < threshold(k) },
			compare: func(a, b *contact) int { return cmp.Or(cmp.Compare(a.name, b.name), byEmail(a, b)) },
		},
		{
			name: "$or of two fields and $in, by email", limit: 25,
			product: func(k int) url.Values {
				return productValues(fmt.Sprintf(`{"stage":{"$in":["Lead","Customer"]},"$or":[{"source":"Referral"},{"leadScore":{"$gt":%d}}]}`,
					threshold(k)), "email", 25)
			},
			rival: func(k int) url.Values {
				return rivalValues(fmt.Sprintf("(stage='Lead'||stage='Customer')&&(source='Referral'||leadScore>%d)", threshold(k)), "email", 25)
			},
			match: func(c *contact, k int) bool {
				return (c.stage == "Lead" || c.stage == "Customer") && (c.source == "Referral" || c.leadScore > threshold(k))
			},
			compare: byEmail,
		},
		{
			name: "$regex and $ne, 100 rows, by department, -email", limit: 100,
			product: func(k int) url.Values {
				return productValues(fmt.Sprintf(`{"title":{"$regex":"^VP "},"stage":{"$ne":%q},"leadScore":{"$ne":%d}}`, busyStage, threshold(k)),
					"department,-email", 100)
			},
			rival: func(k int) url.Values {
				return rivalValues(fmt.Sprintf("title~'VP %%'&&stage!=%q&&leadScore!=%d", busyStage, threshold(k)), "department,-email", 100)
			},
			match: func(c *contact, k int) bool { return strings.HasPrefix(c.title, "VP ") && c.leadScore != threshold(k) },
			compare: func(a, b *contact) int {
				return cmp.Or(cmp.Compare(a.department, b.department), byEmail(b, a))
			},
		},
	}
}

// page is what both servers say of a list, as far as it is checked.
type page struct {
	Results    []struct{ Email string } `json:"results"`
	Total      int                      `json:"total"`
	Items      []struct{ Email string } `json:"items"` // PocketBase's
	TotalItems int                      `json:"totalItems"`
}

// questions are the query in all its variants, for a server whose contacts have the given path, and the answers that the
// contacts known give. ours: the product's spelling.
func (q *query) questions(path string, known []contact, ours bool) []question {
	var list []question
	for k := range variants {
		values := q.rival(k)
		if ours {
			values = q.product(k)
		}
		want := q.answer(known, k)
		list = append(list, question{
			wire:  appendRequest(nil, request{method: "GET", path: path + "?" + values.Encode()}),
			check: want.check,
		})
	}
	return list
}

// expected is a list's right answer.
type expected struct {
	total  int
	emails []string // of the first page
}

func (q *query) answer(known []contact, k int) *expected {
	var found []*contact
	for i := range known {
		if q.match(&known[i], k) {
			found = append(found, &known[i])
		}
	}
	slices.SortFunc(found, q.compare)
	e := &expected{total: len(found)}
	for _, c := range found[:min(q.limit, len(found))] {
		e.emails = append(e.emails, c.email)
	}
	return e
}

func (e *expected) check(a load.Answer) error {
	if a.Status != 200 {
		return unexpected(a, 200)
	}
	var p page
	if err := json.Unmarshal(a.Body, &p); err != nil {
		return fmt.Errorf("read a page: %w: %.300s", err, a.Body)
	}
	if total := p.Total + p.TotalItems; total != e.total {
		return fmt.Errorf("total %d, want %d", total, e.total)
	}
	got := append(p.Results, p.Items...)
	if len(got) != len(e.emails) {
		return fmt.Errorf("%d rows, want %d", len(got), len(e.emails))
	}
	for i, c := range got {
		if c.Email != e.emails[i] {
			return fmt.Errorf("row %d is %s, want %s", i, c.Email, e.emails[i])
		}
	}
	return nil
}
