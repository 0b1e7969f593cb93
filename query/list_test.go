package query

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestListSources lists the same rows from the tail, from files, from both, and from history.
func TestListSources(t *testing.T) {
	w := newWorld(t, nil)
	contact := mustNoun("Contact")
	for i := range 5 {
		w.put("acme", contact, fmt.Sprintf("contact_aaaa%d", i), "create", fmt.Sprintf(`{"name":"n%d","leadScore":%d}`, i, i))
	}
	check := func(step string, q Query, want ...string) {
		t.Helper()
		got := w.allIDs(t, "acme", contact, q)
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Fatalf("%s: got %v, want %v", step, got, want)
		}
	}
	check("tail", Query{Sort: "name"}, "contact_aaaa0", "contact_aaaa1", "contact_aaaa2", "contact_aaaa3", "contact_aaaa4")
	w.publish(t)
	check("files", Query{Sort: "-name"}, "contact_aaaa4", "contact_aaaa3", "contact_aaaa2", "contact_aaaa1", "contact_aaaa0")
	before := w.tick(time.Hour)
	w.tick(time.Hour)
	w.put("acme", contact, "contact_aaaa1", "update", `{"name":"z","leadScore":7}`)
	w.put("acme", contact, "contact_aaaa2", "delete", "")
	w.put("acme", contact, "contact_bbbb0", "create", `{"name":"new"}`)
	now := []string{"contact_bbbb0", "contact_aaaa4", "contact_aaaa3", "contact_aaaa1", "contact_aaaa0"}
	check("files and tail", Query{}, now...)
	check("filter", Query{Filter: object(t, `{"leadScore":{"$gte":3}}`)}, "contact_aaaa4", "contact_aaaa3", "contact_aaaa1")
	check("deleted", Query{Options: Options{IncludeDeleted: true}}, "contact_bbbb0", "contact_aaaa4", "contact_aaaa3", "contact_aaaa2",
		"contact_aaaa1", "contact_aaaa0")
	old := Query{Options: Options{AsOf: before.Format(time.RFC3339Nano)}, Sort: "leadScore"}
	check("as of, table not moved", old, "contact_aaaa0", "contact_aaaa1", "contact_aaaa2", "contact_aaaa3", "contact_aaaa4")
	w.publish(t)
	check("files again", Query{}, now...)
	check("as of, from history", old, "contact_aaaa0", "contact_aaaa1", "contact_aaaa2", "contact_aaaa3", "contact_aaaa4")
	if got := w.allIDs(t, "nobody", contact, Query{}); len(got) != 0 {
		t.Fatal(got)
	}
	if _, known := w.engine.databases.Peek("nobody"); known {
		t.Fatal("a database was made for an unknown tenant")
	}
}

// TestPaging walks 1,000 rows in every order while others come and go: the rows that stay are seen once each, in order.
func TestPaging(t *testing.T) {
	for _, sort := range []string{"", "leadScore", "-leadScore,name", "$id", "-$updatedAt"} {
		t.Run(sort, func(t *testing.T) {
			w := newWorld(t, nil)
			contact := mustNoun("Contact")
			var want []string
			for i := range 1000 {
				id := fmt.Sprintf("contact_keep%04d", i)
				fields := fmt.Sprintf(`{"name":"n%d","leadScore":%d}`, i%7, i%13)
				if i%5 == 0 {
					fields = fmt.Sprintf(`{"name":"n%d"}`, i%7)
				}
				w.put("acme", contact, id, "create", fields)
				want = append(want, id)
			}
			w.publish(t)
			full := w.allIDs(t, "acme", contact, Query{Sort: sort})
			var got []string
			q := Query{Sort: sort, Limit: 37}
			for step := 0; ; step++ {
				page, err := w.List(context.Background(), "acme", contact, q)
				if err != nil {
					t.Fatal(err)
				}
				for _, id := range ids(t, page.Results) {
					if strings.HasPrefix(id, "contact_keep") {
						got = append(got, id)
					}
				}
				if !page.HasMore {
					break
				}
				q.Cursor = page.Cursor
				id := fmt.Sprintf("contact_temp%04d", step)
				w.put("acme", contact, id, "create", fmt.Sprintf(`{"name":"n%d","leadScore":%d}`, step%7, step%13))
				if step > 2 {
					w.put("acme", contact, fmt.Sprintf("contact_temp%04d", step-2), "delete", "")
				}
				if step%4 == 0 {
					w.publish(t)
				}
				if step > 200 {
					t.Fatal("does not end")
				}
			}
			if !slices.Equal(got, full) {
				t.Fatalf("pages differ from the whole: %d and %d rows", len(got), len(full))
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Fatal("rows are missing or doubled")
			}
		})
	}
}
