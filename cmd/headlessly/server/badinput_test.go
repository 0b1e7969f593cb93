package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"headless.ly/cmd/headlessly/server"
)

// TestBadInput sends what must be refused and checks the error object, and that no log has changed and no tenant has come
// into being. The scripts hold the cases that can be written down; these are too large or too many.
func TestBadInput(t *testing.T) {
	w := newWorld(t, false)
	seed := w.send(t, exchange{method: "POST", path: "/~birch/Contact", header: jsonHeader(), body: `{"name":"Noor","email":"noor@birch.example"}`})
	if seed.status != http.StatusCreated {
		t.Fatalf("seed: %d %s", seed.status, seed.body)
	}
	var contact struct {
		ID string `json:"$id"`
	}
	if err := json.Unmarshal(seed.body, &contact); err != nil {
		t.Fatal(err)
	}
	const tenMB = 10 << 20
	large := `{"name":"` + strings.Repeat("x", tenMB-len(`{"name":""}`)) + `"}`
	deep := `{"name":"x","a":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}`
	long := strings.Repeat("a", 200)
	get := func(path string) exchange { return exchange{method: "GET", path: path} }
	post := func(path, body string) exchange {
		return exchange{method: "POST", path: path, header: jsonHeader(), body: body}
	}
	cases := []struct {
		name   string
		x      exchange
		status int
		code   string
	}{
		{"body over 10 MB", post("/~birch/Contact", large+" "), 413, "payload_too_large"},
		{"import row over 10 MB", post("/~birch/import/Contact", `[{"name":"`+strings.Repeat("x", tenMB+tenMB/4)+`"},{"name":"y"}]`), 413, "payload_too_large"},
		{"deep body", post("/~birch/Contact", deep), 400, "invalid_body"},
		{"invalid UTF-8", post("/~birch/Contact", "{\"name\":\"\xff\"}"), 400, "invalid_body"},
		{"byte order mark", post("/~birch/Contact", "\uFEFF{\"name\":\"x\"}"), 400, "invalid_body"},
		{"long tenant", get("/~" + long + "/Contact"), 400, "invalid_tenant"},
		{"long tenant on write", post("/~"+long+"/Contact", `{"name":"x"}`), 400, "invalid_tenant"},
		{"tenant of dots", post("/~../Contact", `{"name":"x"}`), 400, "invalid_tenant"},
		{"tenant with slash", post("/~..%2Felm/Contact", `{"name":"x"}`), 400, "invalid_tenant"},
		{"tenant with NUL", post("/~b%00/Contact", `{"name":"x"}`), 400, "invalid_tenant"},
		{"long id", get("/~birch/Contact/" + long), 400, "invalid_id"},
		{"id with NUL", get("/~birch/Contact/a%00"), 400, "invalid_id"},
		{"id with control", get("/~birch/Contact/a%0A"), 400, "invalid_id"},
		{"id of Unicode", get("/~birch/Contact/b%C3%BCrch"), 400, "invalid_id"},
		{"long idempotency key", exchange{method: "POST", path: "/~birch/Contact", header: http.Header{
			"Content-Type": {"application/json"}, "Idempotency-Key": {strings.Repeat("k", 300)}}, body: `{"name":"x"}`}, 400, "invalid_request"},
		{"large filter", get("/~birch/Contact?filter=" + `{"name":"` + strings.Repeat("x", 70<<10) + `"}`), 400, "invalid_filter"},
		{"long $in", get("/~birch/Contact?filter=" + `{"name":{"$in":["x"` + strings.Repeat(`,"x"`, 1000) + `]}}`), 400, "invalid_filter"},
		{"deep filter", get("/~birch/Contact?filter=" + strings.Repeat(`{"$and":[`, 40) + `{"name":"x"}` + strings.Repeat("]}", 40)), 400, "invalid_filter"},
		{"long $regex", get("/~birch/Contact?filter=" + `{"name":{"$regex":"` + strings.Repeat("x", 600) + `"}}`), 400, "invalid_filter"},
		{"type mismatch", post("/~birch/Contact", `{"name":5}`), 422, "validation_error"},
		{"type mismatch on update", exchange{method: "PUT", path: "/~birch/Contact/" + contact.ID, header: jsonHeader(), body: `{"leadScore":"5"}`}, 422, "validation_error"},
		{"enum on verb", post("/~birch/Contact/"+contact.ID+"/enrich", `{"status":"Asleep"}`), 422, "validation_error"},
		{"number beyond float64", post("/~birch/Contact", `{"name":"x","leadScore":1e999}`), 422, "validation_error"},
		{"unique value on create", post("/~birch/Contact", `{"name":"x","email":"noor@birch.example"}`), 409, "conflict"},
		{"reference to another tenant", post("/~elm/Contact", `{"name":"x","manager":"`+contact.ID+`"}`), 422, "validation_error"},
		{"get of another tenant", get("/~elm/Contact/" + contact.ID), 404, "not_found"},
		{"verb in another tenant", post("/~elm/Contact/"+contact.ID+"/qualify", `{}`), 404, "not_found"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			before := w.heads(t)
			a := w.send(t, c.x)
			checkFailure(t, a, c.status, c.code)
			if after := w.heads(t); !maps.Equal(before, after) {
				t.Errorf("tenants changed from %v to %v", before, after)
			}
		})
	}
}

func jsonHeader() http.Header { return http.Header{"Content-Type": {"application/json"}} }

// checkFailure checks status, code and shape of the error object.
func checkFailure(t *testing.T, a answer, status int, code string) {
	t.Helper()
	var f struct{ Error, Message, RequestID string }
	if err := json.Unmarshal(a.body, &f); err != nil {
		t.Fatalf("status %d: %v in %.200s", a.status, err, a.body)
	}
	if a.status != status || f.Error != code || f.Message == "" || !strings.HasPrefix(f.RequestID, "req_") {
		t.Errorf("status %d %.300s, want %d %s", a.status, a.body, status, code)
	}
	if got := a.header.Get("X-Request-Id"); got != f.RequestID {
		t.Errorf("X-Request-Id %s, requestId %s", got, f.RequestID)
	}
}

// TestLargestBody takes a body of exactly the limit.
func TestLargestBody(t *testing.T) {
	w := newWorld(t, false)
	const tenMB = 10 << 20
	body := `{"name":"` + strings.Repeat("x", tenMB-len(`{"name":""}`)) + `"}`
	a := w.send(t, exchange{method: "POST", path: "/~birch/Contact", header: jsonHeader(), body: body})
	if a.status != http.StatusCreated {
		t.Fatalf("status %d: %.200s", a.status, a.body)
	}
}

// TestChunkedBodyTooLarge sends more than the limit without saying so before.
func TestChunkedBodyTooLarge(t *testing.T) {
	w := newWorld(t, false)
	body := io.MultiReader(strings.NewReader(`{"name":"`), bytes.NewReader(bytes.Repeat([]byte("x"), 10<<20)), strings.NewReader(`"}`))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.URL()+"/~birch/Contact", io.NopCloser(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	checkFailure(t, answer{resp.StatusCode, resp.Header, got}, 413, "payload_too_large")
	if heads := w.heads(t); len(heads) != 0 {
		t.Errorf("tenants %v", heads)
	}
}

// TestUniqueRace writes the same unique value many times at once: one wins, the others learn who.
func TestUniqueRace(t *testing.T) {
	w := newWorld(t, false)
	const writers = 16
	answers := make([]answer, writers)
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			answers[i] = w.send(t, exchange{method: "POST", path: "/~birch/Contact", header: jsonHeader(),
				body: fmt.Sprintf(`{"name":"N %d","email":"same@birch.example"}`, i)})
		})
	}
	all.Wait()
	var winner string
	for _, a := range answers {
		if a.status == http.StatusCreated {
			var e struct {
				ID string `json:"$id"`
			}
			if err := json.Unmarshal(a.body, &e); err != nil || winner != "" {
				t.Fatalf("a second winner, or none: %v %s", err, a.body)
			}
			winner = e.ID
		}
	}
	for _, a := range answers {
		if a.status == http.StatusCreated {
			continue
		}
		var f struct{ Error, Field, ExistingID string }
		if err := json.Unmarshal(a.body, &f); err != nil {
			t.Fatal(err)
		}
		if a.status != http.StatusConflict || f.Error != "conflict" || f.Field != "email" || f.ExistingID != winner {
			t.Errorf("status %d %s, want a conflict over email with %s", a.status, a.body, winner)
		}
	}
	if heads := w.heads(t); heads["birch"] != 1 {
		t.Errorf("heads %v, want one event", heads)
	}
}

// TestListenRefusal: without credentials only loopback addresses are listened on, and the refusal says why.
func TestListenRefusal(t *testing.T) {
	for _, addr := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:192.0.2.1]:0"} {
		_, err := server.Open(t.Context(), server.Config{Addr: addr, Data: t.TempDir()})
		if err == nil || !strings.Contains(err.Error(), "no credentials") || !strings.Contains(err.Error(), "loopback") {
			t.Errorf("%s: %v", addr, err)
		}
	}
	if _, err := server.Open(t.Context(), server.Config{Addr: "127.0.0.1", Data: t.TempDir()}); err == nil {
		t.Error("an address without a port was taken")
	}
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	if _, err := server.Open(t.Context(), server.Config{Addr: busy.Addr().String(), Data: t.TempDir()}); err == nil {
		t.Error("a busy address was taken")
	}
}

// TestReady: /readyz writes and reads, makes no tenant, and says so when a part is gone.
func TestReady(t *testing.T) {
	w := newWorld(t, false)
	for range 2 {
		a := w.send(t, exchange{method: "GET", path: "/readyz"})
		if a.status != http.StatusOK || !bytes.Contains(a.body, []byte(`"disk":{"ok":true`)) {
			t.Fatalf("status %d: %s", a.status, a.body)
		}
	}
	if heads := w.heads(t); len(heads) != 0 {
		t.Errorf("tenants %v", heads)
	}
	if open, err := w.Service().Lake().Database().OpenTenants(context.Background()); err != nil || len(open) != 0 {
		t.Errorf("open tenants %v, %v", open, err)
	}
}
