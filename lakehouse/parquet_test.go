package lakehouse

import (
	"path/filepath"
	"regexp"
	"testing"
)

// TestLayout says where files are, as the seed demands.
func TestLayout(t *testing.T) {
	dir := t.TempDir()
	log := newFakeLog()
	l := openLake(t, dir, log)
	log.contact("acme", 1, "a")
	log.contact("acme", 1, "b")
	publish(t, l)
	events, err := filepath.Rel(dir, currentFiles(t, l, "events")[0])
	if err != nil {
		t.Fatal(err)
	}
	pattern := `^warehouse/iceberg/events/data/tenant=acme/date=2026-01-15/events-1-2-[0-9a-f-]{36}\.parquet$`
	if !regexp.MustCompile(pattern).MatchString(events) {
		t.Errorf("events file %s", events)
	}
	contact, err := filepath.Rel(dir, currentFiles(t, l, "contact")[0])
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^warehouse/iceberg/contact/data/tenant=acme/contact-2-[0-9a-f-]{36}\.parquet$`).MatchString(contact) {
		t.Errorf("contact file %s", contact)
	}
}
