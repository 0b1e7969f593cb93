package lakehouse

import (
	"slices"
	"testing"
	"time"
)

// TestPublish walks through creates, updates and deletes of two tenants, with a restart in between.
func TestPublish(t *testing.T) {
	dir := t.TempDir()
	log := newFakeLog()
	began := time.Now()
	l := openLake(t, dir, log)
	t.Logf("first open: %s", time.Since(began))
	publish(t, l)
	check(t, l, log)

	for i := range 20 {
		log.contact("acme", i, "first")
		log.contact("birch", i, "other")
	}
	log.write("acme", "Deal", "deal_00000001", "create", `"name":"big one","value":1e6,"product":"product_1"`)
	publish(t, l)
	check(t, l, log)

	log.contact("acme", 3, "second")
	log.contact("acme", 30, "new")
	log.write("acme", "Contact", "contact_00000004", "delete", `"name":"first"`)
	began = time.Now()
	publish(t, l)
	t.Logf("small publish: %s", time.Since(began))
	check(t, l, log)

	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	l = openLake(t, dir, log)
	t.Logf("second open: %s", time.Since(began))
	check(t, l, log)
	if got := l.Published("acme"); got != 24 {
		t.Errorf("published %d, want 24", got)
	}
	log.contact("acme", 5, "third")
	log.write("acme", "Deal", "deal_00000001", "delete", `"name":"big one"`)
	publish(t, l)
	check(t, l, log)
	if tenants, err := l.Tenants(t.Context()); err != nil || !slices.Equal(tenants, []string{"acme", "birch"}) {
		t.Errorf("tenants %v, %v", tenants, err)
	}
}
