package rest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"headless.ly/catalog"
	"headless.ly/catalog/rest"
)

// door is a catalog with its server.
type door struct {
	*testing.T
	dir string
	cat *catalog.Catalog
	url string // up to and without /v1
}

func open(t *testing.T, options ...func(*catalog.Config, *rest.Config)) *door {
	t.Helper()
	cfg, served := catalog.Config{Dir: t.TempDir()}, rest.Config{}
	for _, o := range options {
		o(&cfg, &served)
	}
	db, err := catalog.OpenDatabase(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	served.Catalog = db.Iceberg()
	server := httptest.NewServer(http.StripPrefix("/iceberg", rest.New(served)))
	t.Cleanup(func() {
		server.Close()
		_ = db.Close()
	})
	return &door{T: t, dir: cfg.Dir, cat: db.Iceberg(), url: server.URL + "/iceberg"}
}

// do sends a request, and gives the status and the body as JSON.
func (d *door) do(method, path string, body any, header ...string) (int, map[string]any) {
	d.Helper()
	status, text, _ := d.raw(method, path, body, header...)
	var v map[string]any
	if len(text) > 0 {
		if err := json.Unmarshal(text, &v); err != nil {
			d.Fatalf("%s %s: %d, and no JSON: %q", method, path, status, text)
		}
	}
	return status, v
}

func (d *door) raw(method, path string, body any, header ...string) (int, []byte, http.Header) {
	d.Helper()
	text, ok := body.(string)
	if !ok && body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			d.Fatal(err)
		}
		text = string(b)
	}
	req, err := http.NewRequestWithContext(d.Context(), method, d.url+"/v1"+path, strings.NewReader(text))
	if err != nil {
		d.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		d.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		d.Fatal(err)
	}
	return resp.StatusCode, answer, resp.Header
}

// ok sends a request that must succeed.
func (d *door) ok(method, path string, body any) map[string]any {
	d.Helper()
	status, v := d.do(method, path, body)
	if status >= 300 {
		d.Fatalf("%s %s: %d %v", method, path, status, v)
	}
	return v
}

// refused sends a request that must get an error of a status and type, and a message that has a text.
func (d *door) refused(method, path string, body any, status int, kind, text string) {
	d.Helper()
	got, v := d.do(method, path, body)
	e, _ := v["error"].(map[string]any)
	if method == http.MethodHead {
		if got != status {
			d.Errorf("%s %s: %d, want %d", method, path, got, status)
		}
		return
	}
	message, _ := e["message"].(string)
	if got != status || e["type"] != kind || e["code"] != float64(status) || !strings.Contains(message, text) {
		d.Errorf("%s %s: %d %v\nwant %d %s %q", method, path, got, v, status, kind, text)
	}
}

type object = map[string]any

var schema = object{"type": "struct", "schema-id": 0, "fields": []object{
	{"id": 1, "name": "id", "type": "long", "required": true}, {"id": 2, "name": "name", "type": "string", "required": false}}}

// lab makes the namespace lab with some tables.
func (d *door) lab(tables ...string) {
	d.Helper()
	d.ok("POST", "/namespaces", object{"namespace": []string{"lab"}})
	for _, name := range tables {
		d.ok("POST", "/namespaces/lab/tables", object{"name": name, "schema": schema})
	}
}

// ours makes an empty table in our namespace.
func (d *door) ours(name string) {
	d.Helper()
	s := iceberg.NewSchema(0, iceberg.NestedField{ID: 1, Name: "id", Type: iceberg.PrimitiveTypes.String, Required: true})
	if _, err := d.cat.CreateTable(d.Context(), table.Identifier{catalog.Namespace, name}, s); err != nil {
		d.Fatal(err)
	}
}

// state is everything that a request can change: the tables and where they stand, and all files.
func (d *door) state() string {
	d.Helper()
	var b strings.Builder
	namespaces, err := d.cat.ListNamespaces(d.Context(), nil)
	if err != nil {
		d.Fatal(err)
	}
	for _, ns := range namespaces {
		props, err := d.cat.LoadNamespaceProperties(d.Context(), ns)
		fmt.Fprintln(&b, ns, props, err)
		for _, kind := range []catalog.Kind{catalog.KindTable, catalog.KindView} {
			names, err := d.cat.List(d.Context(), ns, kind, "", 1000)
			if err != nil {
				d.Fatal(err)
			}
			for _, name := range names {
				at, err := d.cat.Pointer(d.Context(), append(slices.Clone(ns), name), kind)
				fmt.Fprintln(&b, kind, name, at, err)
			}
		}
	}
	err = filepath.WalkDir(filepath.Join(d.dir, "warehouse"), func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			fmt.Fprintln(&b, path)
		}
		return nil
	})
	if err != nil {
		d.Fatal(err)
	}
	return b.String()
}

// untouched runs requests that must change nothing.
func (d *door) untouched(requests func()) {
	d.Helper()
	before := d.state()
	requests()
	if after := d.state(); after != before {
		d.Errorf("something was touched:\n%s\nbefore:\n%s", after, before)
	}
}

func TestConfig(t *testing.T) {
	d := open(t)
	v := d.ok("GET", "/config?warehouse="+rest.Warehouse, nil)
	endpoints, _ := v["endpoints"].([]any)
	if len(endpoints) < 24 || !slices.Contains(endpoints, any("POST /v1/{prefix}/transactions/commit")) {
		t.Errorf("endpoints: %v", endpoints)
	}
	d.refused("GET", "/config?warehouse=acme", nil, 404, "NoSuchWarehouseException", "acme")
}

func TestAuthenticate(t *testing.T) {
	d := open(t, func(_ *catalog.Config, r *rest.Config) {
		r.Authenticate = func(req *http.Request) error {
			if req.Header.Get("Authorization") != "Bearer sesame" {
				return errors.New("no valid token")
			}
			return nil
		}
	})
	d.untouched(func() {
		d.refused("POST", "/namespaces", object{"namespace": []string{"x"}}, 401, "NotAuthorizedException", "no valid token")
		d.refused("GET", "/config", nil, 401, "NotAuthorizedException", "no valid token")
	})
	if status, _ := d.do("GET", "/config", nil, "Authorization", "Bearer sesame"); status != 200 {
		t.Errorf("with a token: %d", status)
	}
}

// names gives what a list answer has under a key, one line each.
func names(v object, key string) []string {
	var all []string
	for _, x := range v[key].([]any) {
		if o, ok := x.(object); ok {
			x = o["name"]
		}
		all = append(all, fmt.Sprint(x))
	}
	return all
}

func TestNamespaces(t *testing.T) {
	d := open(t)
	for _, ns := range [][]string{{"lab"}, {"lab", "a"}, {"lab", "b"}, {"lab", "a", "deep"}, {"other"}} {
		d.ok("POST", "/namespaces", object{"namespace": ns, "properties": object{"owner": ns[0]}})
	}
	if got := names(d.ok("GET", "/namespaces", nil), "namespaces"); !slices.Equal(got, []string{"[headlessly]", "[lab]", "[other]"}) {
		t.Errorf("namespaces: %v", got)
	}
	if got := names(d.ok("GET", "/namespaces?parent=lab", nil), "namespaces"); !slices.Equal(got, []string{"[lab a]", "[lab b]"}) {
		t.Errorf("below lab: %v", got)
	}
	if got := names(d.ok("GET", "/namespaces?parent=lab%1Fa", nil), "namespaces"); !slices.Equal(got, []string{"[lab a deep]"}) {
		t.Errorf("below lab.a: %v", got)
	}
	v := d.ok("POST", "/namespaces/lab/properties", object{"removals": []string{"owner", "none"}, "updates": object{"x": "1"}})
	if fmt.Sprint(v) != "map[missing:[none] removed:[owner] updated:[x]]" {
		t.Errorf("properties: %v", v)
	}
	if v := d.ok("GET", "/namespaces/lab", nil); fmt.Sprint(v["properties"]) != "map[x:1]" {
		t.Errorf("lab: %v", v)
	}
	d.ok("HEAD", "/namespaces/lab%1Fa%1Fdeep", nil)
	d.untouched(func() {
		d.refused("HEAD", "/namespaces/nix", nil, 404, "", "")
		d.refused("GET", "/namespaces/nix", nil, 404, "NoSuchNamespaceException", "Namespace does not exist: nix")
		d.refused("GET", "/namespaces/nix/tables", nil, 404, "NoSuchNamespaceException", "nix")
		d.refused("GET", "/namespaces?parent=nix", nil, 404, "NoSuchNamespaceException", "nix")
		d.refused("POST", "/namespaces", object{"namespace": []string{"lab"}}, 409, "AlreadyExistsException", "Namespace already exists: lab")
		d.refused("POST", "/namespaces", object{"namespace": []string{"nix", "x"}}, 404, "NoSuchNamespaceException", "nix")
		d.refused("POST", "/namespaces", object{"namespace": []string{}}, 400, "IllegalArgumentException", "levels")
		d.refused("POST", "/namespaces", object{"namespace": []string{"a.b"}}, 400, "IllegalArgumentException", "dot")
		d.refused("DELETE", "/namespaces/lab", nil, 409, "NamespaceNotEmptyException", "Namespace lab is not empty.")
		d.refused("DELETE", "/namespaces/nix", nil, 404, "NoSuchNamespaceException", "nix")
		d.refused("POST", "/namespaces/lab/properties", object{"removals": []string{"x"}, "updates": object{"x": "1"}},
			422, "UnprocessableEntityException", "both")
		d.refused("POST", "/namespaces/nix/properties", object{"updates": object{"x": "1"}}, 404, "NoSuchNamespaceException", "nix")
	})
	d.ok("DELETE", "/namespaces/lab%1Fa%1Fdeep", nil)
	d.ok("DELETE", "/namespaces/lab%1Fa", nil)
}

func TestPages(t *testing.T) {
	d := open(t)
	var tables []string
	for i := range 7 {
		tables = append(tables, fmt.Sprintf("t%d", i))
	}
	d.lab(tables...)
	d.ok("DELETE", "/namespaces/lab/tables/t3", nil)
	tables = slices.Delete(tables, 3, 4)
	var got []string
	token := ""
	for {
		v := d.ok("GET", "/namespaces/lab/tables?pageSize=2&pageToken="+token, nil)
		got = append(got, names(v, "identifiers")...)
		if v["next-page-token"] == nil {
			break
		}
		token = v["next-page-token"].(string)
	}
	if !slices.Equal(got, tables) {
		t.Errorf("by pages: %v", got)
	}
	if all := names(d.ok("GET", "/namespaces/lab/tables", nil), "identifiers"); !slices.Equal(all, tables) {
		t.Errorf("at once: %v", all)
	}
	for _, q := range []string{"pageSize=0", "pageSize=-1", "pageSize=x", "pageSize=99999999999999999999", "pageToken=%20", "pageToken=AAAA"} {
		d.refused("GET", "/namespaces/lab/tables?"+q, nil, 400, "IllegalArgumentException", "Invalid page")
	}
}

func TestTableNames(t *testing.T) {
	d := open(t)
	d.lab()
	for _, name := range []string{"with.dot", "with space", "größe", "percent%20sign", "a:b", strings.Repeat("x", 255)} {
		d.ok("POST", "/namespaces/lab/tables", object{"name": name, "schema": schema})
		path := "/namespaces/lab/tables/" + strings.NewReplacer("%", "%25", " ", "%20", ":", "%3A").Replace(name)
		v := d.ok("GET", path, nil)
		if location := v["metadata"].(object)["location"].(string); strings.ContainsAny(location, " %ö") {
			t.Errorf("%s is at %s", name, location)
		}
		d.ok("DELETE", path, nil)
	}
	d.untouched(func() {
		for _, name := range []string{"", ".", "..", "a/b", "../x", `a\b`, "a\x00b", "a\nb", "a\x1fb", strings.Repeat("x", 256)} {
			d.refused("POST", "/namespaces/lab/tables", object{"name": name, "schema": schema}, 400, "IllegalArgumentException", "Invalid name")
			d.refused("POST", "/namespaces", object{"namespace": []string{name}}, 400, "IllegalArgumentException", "Invalid namespace")
		}
		for _, path := range []string{"/namespaces/..%2Flab/tables", "/namespaces/lab%2Fx/tables", "/namespaces/%2E%2E/tables",
			"/namespaces/lab/tables/a%2Fb", "/namespaces/lab/tables/%2e%2e", "/namespaces/lab/tables/a%5Cb", "/namespaces/lab/tables/a%00",
			"/namespaces/lab%1F/tables", "/namespaces/lab/tables/%FF"} {
			d.refused("GET", path, nil, 400, "IllegalArgumentException", "Invalid")
		}
	})
}

func TestLoad(t *testing.T) {
	d := open(t)
	d.lab("t")
	status, first, header := d.raw("GET", "/namespaces/lab/tables/t", nil)
	if status != 200 || !strings.Contains(string(first), `"config":{}`) {
		t.Fatalf("load: %d %s", status, first)
	}
	if status, body, _ := d.raw("GET", "/namespaces/lab/tables/t", nil, "If-None-Match", `"x", W/`+header.Get("ETag")); status != 304 || len(body) > 0 {
		t.Errorf("load again: %d %s", status, body)
	}
	if status, _, _ := d.raw("GET", "/namespaces/lab/tables/t?snapshots=refs", nil, "If-None-Match", header.Get("ETag")); status != 200 {
		t.Errorf("another mode: %d", status)
	}
	d.ok("HEAD", "/namespaces/lab/tables/t", nil)
	d.commit("t", nil, []object{{"action": "set-properties", "updates": object{"a": "b"}}})
	if status, _, _ := d.raw("GET", "/namespaces/lab/tables/t", nil, "If-None-Match", header.Get("ETag")); status != 200 {
		t.Errorf("after a commit: %d", status)
	}
	d.untouched(func() {
		d.refused("GET", "/namespaces/lab/tables/t?snapshots=some", nil, 400, "IllegalArgumentException", "Invalid snapshot mode")
		d.refused("GET", "/namespaces/lab/tables/nix", nil, 404, "NoSuchTableException", "Table does not exist: lab.nix")
		d.refused("GET", "/namespaces/nix/tables/t", nil, 404, "NoSuchTableException", "Table does not exist: nix.t")
		d.refused("HEAD", "/namespaces/lab/tables/nix", nil, 404, "", "")
	})
	location, err := d.cat.Pointer(t.Context(), table.Identifier{"lab", "t"}, catalog.KindTable)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(catalog.Path(location)); err != nil {
		t.Fatal(err)
	}
	d.refused("GET", "/namespaces/lab/tables/t", nil, 404, "NotFoundException", "Failed to open input stream for file")
}

// commit commits to a table of lab.
func (d *door) commit(name string, requirements, updates []object) object {
	d.Helper()
	return d.ok("POST", "/namespaces/lab/tables/"+name, change("", requirements, updates))
}

func change(name string, requirements, updates []object) object {
	if requirements == nil {
		requirements = []object{}
	}
	body := object{"requirements": requirements, "updates": updates}
	if name != "" {
		body["identifier"] = object{"namespace": []string{"lab"}, "name": name}
	}
	return body
}

func set(key string) []object {
	return []object{{"action": "set-properties", "updates": object{key: "x"}}}
}

func TestRequirements(t *testing.T) {
	d := open(t)
	d.lab("t")
	id := d.ok("GET", "/namespaces/lab/tables/t", nil)["metadata"].(object)["table-uuid"]
	d.commit("t", []object{
		{"type": "assert-table-uuid", "uuid": id}, {"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": nil},
		{"type": "assert-last-assigned-field-id", "last-assigned-field-id": 2}, {"type": "assert-current-schema-id", "current-schema-id": 0},
		{"type": "assert-last-assigned-partition-id", "last-assigned-partition-id": 999},
		{"type": "assert-default-spec-id", "default-spec-id": 0}, {"type": "assert-default-sort-order-id", "default-sort-order-id": 0},
	}, set("all-held"))
	fails := map[string]object{
		"UUID does not match":            {"type": "assert-table-uuid", "uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1"},
		"branch or tag main is missing":  {"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": 17},
		"last assigned field id changed": {"type": "assert-last-assigned-field-id", "last-assigned-field-id": 1},
		"current schema changed":         {"type": "assert-current-schema-id", "current-schema-id": 1},
		"partition id changed":           {"type": "assert-last-assigned-partition-id", "last-assigned-partition-id": 7},
		"default partition spec changed": {"type": "assert-default-spec-id", "default-spec-id": 3},
		"default sort order changed":     {"type": "assert-default-sort-order-id", "default-sort-order-id": 3},
		"table already exists":           {"type": "assert-create"},
	}
	d.untouched(func() {
		for text, requirement := range fails {
			d.refused("POST", "/namespaces/lab/tables/t", change("", []object{requirement}, set("x")), 409, "CommitFailedException", text)
		}
		for _, wrong := range []object{{}, {"type": "assert-nothing"}, {"type": "assert-table-uuid"}, {"type": "assert-table-uuid", "uuid": 7}} {
			d.refused("POST", "/namespaces/lab/tables/t", change("", []object{wrong}, set("x")), 400, "IllegalArgumentException", "Invalid requirement")
		}
		d.refused("POST", "/namespaces/lab/tables/nix", change("", nil, set("x")), 404, "NoSuchTableException", "lab.nix")
		d.refused("POST", "/namespaces/lab/tables/t", change("other", nil, set("x")), 400, "IllegalArgumentException", "other")
	})
}

func TestUpdates(t *testing.T) {
	d := open(t)
	d.lab("t")
	wider := object{"type": "struct", "schema-id": 1, "fields": append(slices.Clone(schema["fields"].([]object)),
		object{"id": 3, "name": "more", "type": "double", "required": false})}
	v := d.commit("t", nil, []object{
		{"action": "add-schema", "schema": wider, "last-column-id": 3}, {"action": "set-current-schema", "schema-id": -1},
		{"action": "add-spec", "spec": object{"fields": []object{{"name": "id", "transform": "identity", "source-id": 1}}}},
		{"action": "set-default-spec", "spec-id": -1},
		{"action": "add-sort-order", "sort-order": object{"order-id": 1, "fields": []object{
			{"transform": "identity", "source-id": 1, "direction": "asc", "null-order": "nulls-first"}}}},
		{"action": "set-default-sort-order", "sort-order-id": -1}, {"action": "set-properties", "updates": object{"a": "1", "b": "2"}},
		{"action": "remove-properties", "removals": []string{"a"}},
	})["metadata"].(object)
	if got := fmt.Sprint(v["current-schema-id"], v["default-spec-id"], v["default-sort-order-id"], v["properties"]); got != "1 1 1 map[b:2]" {
		t.Errorf("after updates: %s", got)
	}
	v = d.commit("t", nil, []object{{"action": "upgrade-format-version", "format-version": 3}})["metadata"].(object)
	if v["format-version"] != 3.0 {
		t.Errorf("after upgrade: %v", v["format-version"])
	}
	d.untouched(func() {
		for _, wrong := range []object{
			{"action": "set-current-schema", "schema-id": 99}, {"action": "set-default-spec", "spec-id": 99},
			{"action": "set-default-sort-order", "sort-order-id": 99}, {"action": "remove-snapshot-ref", "ref-name": "nix"},
			{"action": "upgrade-format-version", "format-version": 1}, {"action": "upgrade-format-version", "format-version": 99},
			{"action": "set-snapshot-ref", "ref-name": "x", "type": "tag", "snapshot-id": 5},
		} {
			d.refused("POST", "/namespaces/lab/tables/t", change("", nil, []object{wrong}), 400, "ValidationException", "")
		}
		for _, wrong := range []object{{}, {"action": "dance"}, {"action": "set-location"}, {"action": 7}, {"action": "add-schema", "schema": "x"}} {
			d.refused("POST", "/namespaces/lab/tables/t", change("", nil, []object{wrong}), 400, "BadRequestException", "Malformed request")
		}
	})
}

// TestStagedCreate makes a table as DuckDB does: ids that it has chosen itself, and the current schema last.
func TestStagedCreate(t *testing.T) {
	d := open(t)
	d.lab()
	v := d.ok("POST", "/namespaces/lab/tables", object{"name": "t", "schema": schema, "stage-create": true})
	staged := v["metadata"].(object)
	if v["metadata-location"] != nil {
		t.Errorf("staged: %v", v)
	}
	if _, err := os.Stat(catalog.Path(staged["location"].(string)) + "/metadata"); err != nil {
		t.Error(err)
	}
	d.refused("GET", "/namespaces/lab/tables/t", nil, 404, "NoSuchTableException", "lab.t")
	create := change("", []object{{"type": "assert-create"}}, []object{
		{"action": "assign-uuid", "uuid": staged["table-uuid"]}, {"action": "upgrade-format-version", "format-version": 2},
		{"action": "add-schema", "schema": schema, "last-column-id": 2},
		{"action": "add-spec", "spec": object{"spec-id": 0, "fields": []object{}}}, {"action": "set-default-spec", "spec-id": 0},
		{"action": "add-sort-order", "sort-order": object{"order-id": 0, "fields": []object{}}},
		{"action": "set-default-sort-order", "sort-order-id": 0}, {"action": "set-location", "location": staged["location"]},
		{"action": "set-current-schema", "schema-id": 0},
	})
	made := d.ok("POST", "/namespaces/lab/tables/t", create)["metadata"].(object)
	fields := made["schemas"].([]any)[0].(object)["fields"].([]any)
	if made["table-uuid"] != staged["table-uuid"] || made["format-version"] != 2.0 || len(fields) != 2 {
		t.Errorf("made: %v", made)
	}
	d.untouched(func() {
		d.refused("POST", "/namespaces/lab/tables/t", create, 409, "CommitFailedException", "Requirement failed: table already exists")
		d.refused("POST", "/namespaces/lab/tables", object{"name": "t", "schema": schema}, 409, "AlreadyExistsException", "Table already exists: lab.t")
		d.refused("POST", "/namespaces/nix/tables", object{"name": "t", "schema": schema}, 404, "NoSuchNamespaceException", "nix")
		d.refused("POST", "/namespaces/lab/tables", object{"name": "u"}, 400, "IllegalArgumentException", "Missing schema")
		d.refused("POST", "/namespaces/lab/tables/u", change("", []object{{"type": "assert-create"}}, set("x")), 400, "ValidationException", "Cannot create")
	})
}

func TestTransaction(t *testing.T) {
	d := open(t)
	d.lab("a", "b")
	d.ok("POST", "/transactions/commit", object{"table-changes": []object{change("a", nil, set("one")), change("b", nil, set("one"))}})
	for _, name := range []string{"a", "b"} {
		if v := d.ok("GET", "/namespaces/lab/tables/"+name, nil)["metadata"].(object); fmt.Sprint(v["properties"]) != "map[one:x]" {
			t.Errorf("%s: %v", name, v["properties"])
		}
	}
	fails := []object{{"type": "assert-current-schema-id", "current-schema-id": 8}}
	d.untouched(func() {
		for _, body := range []object{
			{"table-changes": []object{change("a", nil, set("two")), change("b", fails, set("two"))}},
			{"table-changes": []object{change("b", fails, set("two")), change("a", nil, set("two"))}},
		} {
			d.refused("POST", "/transactions/commit", body, 409, "CommitFailedException", "current schema changed")
		}
		d.refused("POST", "/transactions/commit", object{"table-changes": []object{change("a", nil, set("two")), change("nix", nil, set("two"))}},
			404, "NoSuchTableException", "lab.nix")
		d.refused("POST", "/transactions/commit", object{"table-changes": []object{change("a", nil, set("two")), change("a", nil, set("two"))}},
			400, "IllegalArgumentException", "twice")
		d.refused("POST", "/transactions/commit", object{"table-changes": []object{}}, 400, "IllegalArgumentException", "changes 1 to")
		d.refused("POST", "/transactions/commit", object{"table-changes": []object{change("", nil, set("two"))}}, 400, "IllegalArgumentException", "Missing identifier")
	})
}

// TestOurs says that nothing of ours can be changed from outside, but that tags can be put on it.
func TestOurs(t *testing.T) {
	d := open(t)
	d.ours("deal")
	d.lab("t")
	at := "/namespaces/headlessly/tables"
	view := viewBody("v")
	const forbidden = "ForbiddenException"
	d.untouched(func() {
		d.refused("POST", at, object{"name": "x", "schema": schema}, 403, forbidden, "belongs to the server")
		d.refused("POST", at, object{"name": "x", "schema": schema, "stage-create": true}, 403, forbidden, "belongs to the server")
		d.refused("POST", at+"/x", change("", []object{{"type": "assert-create"}}, nil), 403, forbidden, "belongs to the server")
		for _, update := range []object{
			set("x")[0], {"action": "remove-properties", "removals": []string{"x"}}, {"action": "set-location", "location": "file:///x"},
			{"action": "add-schema", "schema": schema, "last-column-id": 2}, {"action": "set-current-schema", "schema-id": 0},
			{"action": "remove-snapshots", "snapshot-ids": []int{1}}, {"action": "upgrade-format-version", "format-version": 3},
			{"action": "assign-uuid", "uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1"},
			{"action": "set-snapshot-ref", "ref-name": "main", "type": "branch", "snapshot-id": 1},
			{"action": "set-snapshot-ref", "ref-name": "day-2026-01-01", "type": "tag", "snapshot-id": 1},
			{"action": "remove-snapshot-ref", "ref-name": "main"},
			{"action": "add-snapshot", "snapshot": object{"snapshot-id": 1, "timestamp-ms": 1, "manifest-list": "file:///x", "summary": object{"operation": "append"}}},
		} {
			d.refused("POST", at+"/deal", change("", nil, []object{update}), 403, forbidden, "belongs to the server")
			d.refused("POST", "/transactions/commit", object{"table-changes": []object{change("t", nil, set("x")), {
				"identifier": object{"namespace": []string{"headlessly"}, "name": "deal"}, "requirements": []object{}, "updates": []object{update}}}},
				403, forbidden, "belongs to the server")
		}
		d.refused("DELETE", at+"/deal", nil, 403, forbidden, "belongs to the server")
		d.refused("DELETE", at+"/deal?purgeRequested=true", nil, 403, forbidden, "belongs to the server")
		d.refused("POST", "/namespaces/headlessly/register", object{"name": "x", "metadata-location": "file:///x"}, 403, forbidden, "")
		d.refused("POST", "/namespaces/headlessly/register-view", object{"name": "x", "metadata-location": "file:///x"}, 403, forbidden, "")
		d.refused("POST", "/namespaces/headlessly/views", view, 403, forbidden, "")
		d.refused("POST", "/namespaces/headlessly/views/v", change("", nil, set("x")), 403, forbidden, "")
		d.refused("DELETE", "/namespaces/headlessly/views/v", nil, 403, forbidden, "")
		ours, theirs := object{"namespace": []string{"headlessly"}, "name": "deal"}, object{"namespace": []string{"lab"}, "name": "t"}
		for _, kind := range []string{"tables", "views"} {
			d.refused("POST", "/"+kind+"/rename", object{"source": ours, "destination": theirs}, 403, forbidden, "")
			d.refused("POST", "/"+kind+"/rename", object{"source": theirs, "destination": ours}, 403, forbidden, "")
		}
		d.refused("DELETE", "/namespaces/headlessly", nil, 403, forbidden, "")
		d.refused("POST", "/namespaces/headlessly/properties", object{"updates": object{"a": "b"}}, 403, forbidden, "")
		d.refused("POST", "/namespaces", object{"namespace": []string{"headlessly", "x"}}, 403, forbidden, "")
	})
}

// TestLocations says which places a client cannot choose.
func TestLocations(t *testing.T) {
	d := open(t)
	d.ours("deal")
	d.lab("t")
	guests := d.cat.Guests()
	wrong := []string{
		"file:///etc", "file:///etc/passwd", "/etc/passwd", "s3://bucket/t", "http://x/y", "file://", "file:", ".", "lab/t",
		guests, guests + "/", guests + "/lab", guests + "/../iceberg/deal", guests + "/lab/../../iceberg/deal", guests + "/lab/./t2",
		guests + "/lab//t2", guests + "/lab/%2e%2e/%2e%2e/iceberg/deal", guests + "/lab/..%2fx", guests + "/lab/a%2Fb", guests + `/lab/a\b`,
		guests + "/lab/a b", guests + "/lab/a\x00b", guests + "x/lab/t", d.cat.Location() + "/deal", d.cat.Location() + "/new",
		d.cat.Location() + "/deal/data/tenant=acme", strings.ToUpper(guests) + "/lab/t2",
	}
	d.untouched(func() {
		for _, location := range wrong {
			for path, body := range map[string]object{
				"/namespaces/lab/tables":   {"name": "x", "schema": schema, "location": location},
				"/namespaces/lab/views":    viewBody("x", "location", location),
				"/namespaces/lab/register": {"name": "x", "metadata-location": location},
				"/namespaces/lab/tables/t": change("", nil, []object{{"action": "set-location", "location": location}}),
				"/namespaces/lab/tables/u": change("", []object{{"type": "assert-create"}}, []object{{"action": "set-location", "location": location}}),
			} {
				status, v := d.do("POST", path, body)
				if e, _ := v["error"].(object); status != 400 && status != 403 && status != 404 || e == nil {
					t.Errorf("%s with %q: %d %v", path, location, status, v)
				}
			}
		}
		for _, key := range []string{"write.data.path", "write.metadata.path", "write.object-storage.path"} {
			props := object{key: "file:///etc"}
			d.refused("POST", "/namespaces/lab/tables", object{"name": "x", "schema": schema, "properties": props}, 403, "ForbiddenException", "outside")
			d.refused("POST", "/namespaces/lab/tables/t", change("", nil, []object{{"action": "set-properties", "updates": props}}), 403, "ForbiddenException", "outside")
		}
		taken := d.ok("GET", "/namespaces/lab/tables/t", nil)["metadata"].(object)["location"].(string)
		for _, location := range []string{taken, taken + "/", taken + "/deeper", "file:" + catalog.Path(taken)} {
			d.refused("POST", "/namespaces/lab/tables", object{"name": "x", "schema": schema, "location": location}, 409, "AlreadyExistsException", "another table")
		}
		at, err := d.cat.Pointer(t.Context(), table.Identifier{"lab", "t"}, catalog.KindTable)
		if err != nil {
			t.Fatal(err)
		}
		d.refused("POST", "/namespaces/lab/register", object{"name": "x", "metadata-location": at}, 409, "AlreadyExistsException", "another table")
		at, err = d.cat.Pointer(t.Context(), table.Identifier{"headlessly", "deal"}, catalog.KindTable)
		if err != nil {
			t.Fatal(err)
		}
		d.refused("POST", "/namespaces/lab/register", object{"name": "x", "metadata-location": at}, 403, "ForbiddenException", "outside")
	})
}

func TestDropRenameRegister(t *testing.T) {
	d := open(t)
	d.lab("t", "other")
	v := d.ok("GET", "/namespaces/lab/tables/t", nil)
	folder, location := catalog.Path(v["metadata"].(object)["location"].(string)), v["metadata-location"].(string)
	rename := func(from, to string) object {
		return object{"source": object{"namespace": []string{"lab"}, "name": from}, "destination": object{"namespace": []string{"lab"}, "name": to}}
	}
	d.untouched(func() {
		d.refused("POST", "/tables/rename", rename("nix", "u"), 404, "NoSuchTableException", "lab.nix")
		d.refused("POST", "/tables/rename", rename("t", "other"), 409, "AlreadyExistsException", "Table already exists")
		body := rename("t", "u")
		body["destination"] = object{"namespace": []string{"nix"}, "name": "u"}
		d.refused("POST", "/tables/rename", body, 404, "NoSuchNamespaceException", "nix")
		d.refused("DELETE", "/namespaces/lab/tables/nix", nil, 404, "NoSuchTableException", "lab.nix")
		d.refused("DELETE", "/namespaces/lab/tables/t?purgeRequested=maybe", nil, 400, "IllegalArgumentException", "purgeRequested")
	})
	d.ok("POST", "/tables/rename", rename("t", "u"))
	// A table of the old name gets a folder of its own, which purging the renamed one leaves alone.
	again := d.ok("POST", "/namespaces/lab/tables", object{"name": "t", "schema": schema})["metadata"].(object)["location"].(string)
	d.ok("DELETE", "/namespaces/lab/tables/u?purgeRequested=False", nil)
	if _, err := os.Stat(folder); err != nil {
		t.Errorf("dropped without purging: %v", err)
	}
	d.ok("POST", "/namespaces/lab/register", object{"name": "back", "metadata-location": location})
	d.ok("DELETE", "/namespaces/lab/tables/back?purgeRequested=TRUE", nil)
	if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Errorf("purged: %v", err)
	}
	if _, err := os.Stat(catalog.Path(again) + "/metadata"); err != nil {
		t.Error(err)
	}
	d.refused("POST", "/namespaces/lab/register", object{"name": "back", "metadata-location": location}, 404, "NotFoundException", "Failed to open")
	d.ok("POST", "/namespaces/lab/tables/t/metrics", object{"report-type": "scan-report"})
	d.refused("POST", "/namespaces/lab/tables/t/metrics", object{}, 400, "IllegalArgumentException", "report-type")
	d.refused("POST", "/namespaces/lab/tables/nix/metrics", object{"report-type": "scan-report"}, 404, "NoSuchTableException", "lab.nix")
}

func viewBody(name string, more ...string) object {
	body := object{"name": name, "schema": schema, "view-version": object{
		"version-id": 1, "schema-id": 0, "timestamp-ms": 1, "summary": object{}, "default-namespace": []string{"lab"},
		"representations": []object{{"type": "sql", "sql": "select 1", "dialect": "spark"}}}}
	for i := 0; i < len(more); i += 2 {
		body[more[i]] = more[i+1]
	}
	return body
}

func TestViews(t *testing.T) {
	d := open(t)
	d.lab("t")
	v := d.ok("POST", "/namespaces/lab/views", viewBody("v"))["metadata"].(object)
	d.ok("HEAD", "/namespaces/lab/views/v", nil)
	if got := names(d.ok("GET", "/namespaces/lab/views", nil), "identifiers"); !slices.Equal(got, []string{"v"}) {
		t.Errorf("views: %v", got)
	}
	version := viewBody("v")["view-version"].(object)
	version["version-id"], version["representations"] = 2, []object{{"type": "sql", "sql": "select 2", "dialect": "spark"}}
	next := d.ok("POST", "/namespaces/lab/views/v", change("", []object{{"type": "assert-view-uuid", "uuid": v["view-uuid"]}},
		[]object{{"action": "add-view-version", "view-version": version}, {"action": "set-current-view-version", "view-version-id": -1}}))
	if next["metadata"].(object)["current-version-id"] != 2.0 {
		t.Errorf("replaced: %v", next)
	}
	d.untouched(func() {
		d.refused("GET", "/namespaces/lab/views/nix", nil, 404, "NoSuchViewException", "View does not exist: lab.nix")
		d.refused("GET", "/namespaces/lab/views/t", nil, 404, "NoSuchViewException", "View does not exist: lab.t")
		d.refused("GET", "/namespaces/lab/tables/v", nil, 404, "NoSuchTableException", "Table does not exist: lab.v")
		d.refused("HEAD", "/namespaces/lab/views/nix", nil, 404, "", "")
		d.refused("DELETE", "/namespaces/lab/views/nix", nil, 404, "NoSuchViewException", "lab.nix")
		d.refused("POST", "/namespaces/lab/views", viewBody("v"), 409, "AlreadyExistsException", "View already exists: lab.v")
		d.refused("POST", "/namespaces/lab/views", viewBody("t"), 409, "AlreadyExistsException", "Table with same name already exists: lab.t")
		d.refused("POST", "/namespaces/lab/tables", object{"name": "v", "schema": schema}, 409, "AlreadyExistsException", "View with same name")
		d.refused("POST", "/namespaces/nix/views", viewBody("v"), 404, "NoSuchNamespaceException", "nix")
		d.refused("POST", "/namespaces/lab/views", object{"name": "x"}, 400, "IllegalArgumentException", "Missing")
		d.refused("POST", "/namespaces/lab/views/v", change("", []object{{"type": "assert-view-uuid", "uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1"}}, nil),
			409, "CommitFailedException", "view UUID does not match")
		d.refused("POST", "/namespaces/lab/views/v", change("", nil, []object{{"action": "set-current-view-version", "view-version-id": 9}}),
			400, "IllegalArgumentException", "Cannot change view")
	})
	d.ok("POST", "/views/rename", object{"source": object{"namespace": []string{"lab"}, "name": "v"}, "destination": object{"namespace": []string{"lab"}, "name": "w"}})
	d.ok("DELETE", "/namespaces/lab/views/w", nil)
	d.ok("POST", "/namespaces/lab/register-view", object{"name": "back", "metadata-location": next["metadata-location"]})
	d.ok("GET", "/namespaces/lab/views/back", nil)
}

// TestMalformed sends what is no request of the specification.
func TestMalformed(t *testing.T) {
	d := open(t)
	d.lab("t")
	d.untouched(func() {
		d.refused("GET", "/nix", nil, 404, "NotFoundException", "/v1/nix")
		d.refused("GET", "/namespaces/lab/tables/t/", nil, 404, "NotFoundException", "no such endpoint")
		d.refused("PUT", "/namespaces", nil, 405, "UnsupportedOperationException", "PUT")
		d.refused("POST", "/namespaces/lab/tables/t/plan", object{}, 404, "NotFoundException", "plan")
		for _, path := range []string{"/namespaces", "/namespaces/lab/tables", "/namespaces/lab/tables/t", "/namespaces/lab/properties",
			"/namespaces/lab/register", "/namespaces/lab/views", "/tables/rename", "/views/rename", "/transactions/commit",
			"/namespaces/lab/tables/t/metrics", "/namespaces/lab/register-view"} {
			for _, body := range []string{"", "null", "[]", "7", `"x"`, "{", `{"a":}`, "\xff\xfe", strings.Repeat("[", 20000)} {
				d.refused("POST", path, body, 400, "BadRequestException", "")
			}
		}
		if status, _, _ := d.raw("POST", "/namespaces", "{}", "Content-Type", "text/plain"); status != 415 {
			t.Errorf("text/plain: %d", status)
		}
		if status, _, _ := d.raw("POST", "/namespaces", "{}", "Content-Encoding", "gzip"); status != 415 {
			t.Errorf("gzip: %d", status)
		}
		if status, _, _ := d.raw("POST", "/namespaces", `{"x":"`+strings.Repeat("x", 33<<20)+`"}`); status != 413 {
			t.Errorf("33 MB: %d", status)
		}
	})
}

// brokenFS fails to make folders durable, while it is told to.
type brokenFS struct {
	catalog.OS
	broken *bool
}

func (b brokenFS) SyncDir(name string) error {
	if *b.broken {
		return errors.New("no")
	}
	return b.OS.SyncDir(name)
}

// TestBrokenDisk says that a commit whose metadata did not get to the disk did not happen.
func TestBrokenDisk(t *testing.T) {
	broken := false
	d := open(t, func(c *catalog.Config, _ *rest.Config) { c.FS = brokenFS{broken: &broken} })
	d.lab("t")
	broken = true
	d.untouched(func() {
		for path, body := range map[string]object{
			"/namespaces/lab/tables/t": change("", nil, set("x")), "/namespaces/lab/tables": {"name": "u", "schema": schema},
			"/namespaces/lab/views": viewBody("v"), "/transactions/commit": {"table-changes": []object{change("t", nil, set("x"))}},
		} {
			d.refused("POST", path, body, 500, "InternalServerError", "Internal error")
		}
	})
	broken = false
	if v := d.commit("t", nil, set("x")); !bytes.Contains([]byte(fmt.Sprint(v)), []byte("map[x:x]")) {
		t.Errorf("afterwards: %v", v)
	}
}
