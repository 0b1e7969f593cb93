package rest

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"

	"headless.ly/catalog"
)

// mode is which snapshots a load answer has.
type mode string

// The modes, as clients name them.
const (
	allSnapshots mode = "all"
	refSnapshots mode = "refs"
)

// loadTable answers with a table's metadata, or that the client has it.
func (s *Server) loadTable(r *request) error {
	if err := r.named(catalog.KindTable); err != nil {
		return err
	}
	m := mode(r.c.DefaultQuery("snapshots", string(allSnapshots)))
	if m != allSnapshots && m != refSnapshots {
		return badRequest("Invalid snapshot mode: %.50q", m)
	}
	location, err := s.cat.Pointer(r.c, r.ident, catalog.KindTable)
	if err != nil {
		return err
	}
	if tag := etag(location, m); matches(r.c.Request.Header.Values("If-None-Match"), tag) {
		r.c.Writer.Header().Set("ETag", tag)
		r.c.Status(http.StatusNotModified)
		r.c.Writer.WriteHeaderNow()
		return nil
	}
	return r.sendTable(location, m)
}

// sendTable answers with the table whose metadata is at a location.
func (r *request) sendTable(location string, m mode) error {
	body, err := r.s.answer(location, m)
	if err != nil {
		return err
	}
	r.c.Writer.Header().Set("ETag", etag(location, m))
	return r.send(http.StatusOK, body)
}

// etag names an answer: metadata files never change.
func etag(location string, m mode) string {
	return `"` + strconv.FormatUint(xxhash.Sum64String(location), 36) + "-" + string(m) + `"`
}

// matches says whether the If-None-Match header has a tag.
func matches(header []string, tag string) bool {
	for _, line := range header {
		for given := range strings.SplitSeq(line, ",") {
			given = strings.TrimPrefix(strings.TrimSpace(given), "W/")
			if given == tag || given == "*" {
				return true
			}
		}
	}
	return false
}

// answer gives the load answer of the metadata at a location. It must not be changed.
func (s *Server) answer(location string, m mode) ([]byte, error) {
	key := location + " " + string(m)
	if body, found := s.answers.Get(key); found && s.cat.IO().Exists(location) {
		return body, nil
	}
	metadata, err := s.cat.IO().ReadFile(location)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, newError(http.StatusNotFound, "NotFoundException", "Failed to open input stream for file: %s", location)
	}
	if err != nil {
		return nil, err
	}
	if m == refSnapshots {
		if metadata, err = referred(metadata); err != nil {
			return nil, err
		}
	}
	body, err := loadAnswer(location, metadata)
	if err == nil && len(body) <= maxKept {
		s.answers.Add(key, body)
	}
	return body, err
}

// loadAnswer puts metadata, JSON as it is in its file, into a load answer. Its config is empty: DuckDB takes any key for
// that of an object store.
func loadAnswer(location string, metadata []byte) ([]byte, error) {
	name := []byte("null")
	if location != "" {
		var err error
		if name, err = encode(location); err != nil {
			return nil, err
		}
	}
	body := make([]byte, 0, len(metadata)+len(name)+64)
	body = append(body, `{"metadata-location":`...)
	body = append(body, name...)
	body = append(body, `,"metadata":`...)
	body = append(body, metadata...)
	return append(body, `,"config":{}}`...), nil
}

// referred leaves only those snapshots in metadata that a branch or tag names.
func referred(metadata []byte) ([]byte, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(metadata, &fields); err != nil {
		return nil, err
	}
	var parts struct {
		Current   *int64            `json:"current-snapshot-id"`
		Snapshots []json.RawMessage `json:"snapshots"`
		Refs      map[string]struct {
			Snapshot int64 `json:"snapshot-id"`
		} `json:"refs"`
	}
	if err := json.Unmarshal(metadata, &parts); err != nil {
		return nil, err
	}
	keep := map[int64]bool{}
	if parts.Current != nil {
		keep[*parts.Current] = true
	}
	for _, ref := range parts.Refs {
		keep[ref.Snapshot] = true
	}
	kept := []json.RawMessage{}
	for _, raw := range parts.Snapshots {
		var snapshot struct {
			ID int64 `json:"snapshot-id"`
		}
		if err := json.Unmarshal(raw, &snapshot); err != nil {
			return nil, err
		}
		if keep[snapshot.ID] {
			kept = append(kept, raw)
		}
	}
	var err error
	if fields["snapshots"], err = encode(kept); err != nil {
		return nil, err
	}
	return encode(fields)
}
