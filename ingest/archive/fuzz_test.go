package archive_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"headless.ly/ingest/archive"
	"headless.ly/lakehouse"
)

func event(seq int64) *lakehouse.Event {
	e := &lakehouse.Event{Seq: seq, ID: fmt.Sprint("evt_", seq), Kind: lakehouse.KindMutation, Type: "Contact.Created", Entity: "Contact",
		Target: fmt.Sprint("contact_", seq), Verb: "create", Timestamp: 1768471200000 + seq, Version: 1, Data: []byte(`{"name":"Ünal"}`)}
	if seq%2 == 0 {
		e.Before, e.Changes, e.Input = []byte("{}"), []byte("[]"), []byte(`{"a":null}`)
	}
	return e
}

func archived(t testing.TB, events int64) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := archive.NewWriter(&out, archive.Header{Tenant: "acme", EventIDs: 1 << 60, Head: events, Exported: time.Unix(1768471200, 0).UTC()})
	if err != nil {
		t.Fatal(err)
	}
	for seq := range events {
		if err := w.Add(event(seq + 1)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestRoundTrip(t *testing.T) {
	for _, n := range []int64{0, 1, 70_000} {
		r, err := archive.Open(bytes.NewReader(archived(t, n)))
		if err != nil || r.Header.Head != n || r.Header.EventIDs != 1<<60 {
			t.Fatalf("%+v %v", r, err)
		}
		seq := int64(0)
		err = r.Each(t.Context(), func(e *lakehouse.Event) error {
			seq++
			if got, want := fmt.Sprintf("%+v", *e), fmt.Sprintf("%+v", *event(seq)); got != want {
				return fmt.Errorf("got %s, want %s", got, want)
			}
			if (e.Before == nil) != (seq%2 == 1) {
				return errors.New("null and empty are mixed up")
			}
			return nil
		})
		if err != nil || seq != n {
			t.Errorf("%d of %d events: %v", seq, n, err)
		}
	}
}

func TestWriterRefuses(t *testing.T) {
	w, err := archive.NewWriter(&bytes.Buffer{}, archive.Header{Head: 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(event(2)); err == nil {
		t.Error("a gap is taken")
	}
	if err := w.Add(event(1)); err != nil {
		t.Error(err)
	}
	if _, err := w.Close(); err == nil {
		t.Error("half an archive is closed")
	}
}

// FuzzReader holds that a Reader gives events or an error of its own, whatever it is given.
func FuzzReader(f *testing.F) {
	f.Add([]byte{})
	f.Add(archived(f, 0))
	f.Add(archived(f, 3))
	f.Fuzz(func(t *testing.T, content []byte) {
		r, err := archive.Open(bytes.NewReader(content))
		if err != nil {
			return
		}
		last := int64(0)
		err = r.Each(context.Background(), func(e *lakehouse.Event) error {
			if last++; e.Seq != last {
				t.Errorf("event %d where %d is due", e.Seq, last)
			}
			return nil
		})
		if err == nil && last != r.Header.Head {
			t.Errorf("%d events of %d", last, r.Header.Head)
		}
	})
}
