package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/apache/iceberg-go"
	icecat "github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/table"

	"headless.ly/catalog"
)

func (s *Server) listTables(r *request) error { return s.list(r, catalog.KindTable) }

// list answers with a page of names.
func (s *Server) list(r *request, kind catalog.Kind) error {
	if err := r.inNamespace(); err != nil {
		return err
	}
	p, err := parsePage(r.c.Request.URL.Query())
	if err != nil {
		return err
	}
	names, next, err := collect(p, func(after string, limit int) ([]string, error) {
		return s.cat.List(r.c, r.namespace, kind, after, limit)
	})
	if err != nil {
		return err
	}
	all := make([]identifier, len(names))
	for i, name := range names {
		all[i] = identifier{r.namespace, name}
	}
	return r.sendJSON(struct {
		Identifiers []identifier `json:"identifiers"`
		Next        *string      `json:"next-page-token,omitempty"`
	}{all, next})
}

func (s *Server) tableExists(r *request) error { return s.exists(r, catalog.KindTable) }

// exists says that there is a table or view, or the error that there is not.
func (s *Server) exists(r *request, kind catalog.Kind) error {
	if err := r.named(kind); err != nil {
		return err
	}
	if _, err := s.cat.Pointer(r.c, r.ident, kind); err != nil {
		return err
	}
	return r.sendNothing()
}

// tableBody asks for a table. Partition spec and order are about the field ids of the schema beside them, which need not be
// those the table gets.
type tableBody struct {
	Name       string                        `json:"name"`
	Location   string                        `json:"location"`
	Schema     *iceberg.Schema               `json:"schema"`
	Spec       *iceberg.UnboundPartitionSpec `json:"partition-spec"`
	Order      *table.UnboundSortOrder       `json:"write-order"`
	Stage      bool                          `json:"stage-create"`
	Properties iceberg.Properties            `json:"properties"`
}

func (s *Server) createTable(r *request) error {
	if err := r.inNamespace(); err != nil {
		return err
	}
	var body tableBody
	if err := r.read(&body); err != nil {
		return err
	}
	if err := r.claim(catalog.KindTable, body.Name); err != nil {
		return err
	}
	if err := s.vacant(r); err != nil {
		return err
	}
	meta, err := s.newMetadata(r.ident, &body)
	if err != nil {
		return err
	}
	if body.Stage {
		return s.stage(r, meta)
	}
	staged, err := s.cat.Commit(r.c, catalog.Change{TableCommit: table.TableCommit{Identifier: r.ident}, New: meta})
	if err != nil && staged == nil {
		return err
	}
	s.warn(err)
	return r.sendTable(staged[0].Location, allSnapshots)
}

// claim takes the name that a body gives to what is to be made in the request's namespace; it must not be one of ours.
func (r *request) claim(kind catalog.Kind, name string) error {
	if err := r.name(kind, name); err != nil {
		return err
	}
	if ours(r.ident) {
		return guarded(strings.ToLower(string(kind)), r.ident)
	}
	return nil
}

// vacant refuses a name early whose namespace is missing or that is taken; the commit sees to it for good.
func (s *Server) vacant(r *request) error {
	exists, err := s.cat.CheckNamespaceExists(r.c, r.namespaceOf())
	if err == nil && !exists {
		err = noNamespace(r.namespaceOf())
	}
	if err != nil {
		return err
	}
	for _, kind := range []catalog.Kind{catalog.KindTable, catalog.KindView} {
		if _, err := s.cat.Pointer(r.c, r.ident, kind); err == nil {
			return taken(r.kind, kind, r.ident)
		}
	}
	return nil
}

// newMetadata builds the first metadata of a table that is asked for.
func (s *Server) newMetadata(ident table.Identifier, body *tableBody) (table.Metadata, error) {
	if body.Schema == nil {
		return nil, badRequest("Missing schema")
	}
	if err := s.checkProperties(body.Properties); err != nil {
		return nil, err
	}
	location := body.Location
	if location == "" {
		location = s.cat.NewLocation(ident)
	}
	location, err := s.checkPlace(location)
	if err != nil {
		return nil, err
	}
	var spec *iceberg.PartitionSpec
	if body.Spec != nil {
		spec = &body.Spec.PartitionSpec
	}
	order := table.UnsortedSortOrder
	if body.Order != nil {
		order = body.Order.SortOrder
	}
	meta, err := table.NewMetadata(body.Schema, spec, order, location, body.Properties)
	if err != nil {
		return nil, badRequest("Cannot create table %s: %s", dotted(ident), err)
	}
	return meta, nil
}

// stage answers with metadata that is nowhere yet. Its folder is made for clients that write files before they commit.
func (s *Server) stage(r *request, meta table.Metadata) error {
	if err := s.cat.IO().MkdirAll(catalog.Path(meta.Location()) + "/metadata"); err != nil {
		return err
	}
	metadata, err := encode(meta)
	if err != nil {
		return err
	}
	body, err := loadAnswer("", metadata)
	if err != nil {
		return err
	}
	return r.send(http.StatusOK, body)
}

// warn logs what went wrong after a change had been made: it is made all the same.
func (s *Server) warn(err error) {
	if err != nil {
		s.cfg.Logger.Warn("iceberg catalog", "error", err)
	}
}

// dropTable forgets a table, and with purgeRequested removes its folder. Clients write true in their own case.
func (s *Server) dropTable(r *request) error {
	if err := r.named(catalog.KindTable); err != nil {
		return err
	}
	purge, err := strconv.ParseBool(strings.ToLower(r.c.DefaultQuery("purgeRequested", "false")))
	if err != nil {
		return badRequest("Invalid purgeRequested: %.20q", r.c.Query("purgeRequested"))
	}
	if ours(r.ident) {
		return guarded("table", r.ident)
	}
	location, err := s.cat.Drop(r.c, r.ident, catalog.KindTable)
	if err != nil {
		return err
	}
	if purge {
		s.warn(s.purge(folderOf(location)))
	}
	return r.sendNothing()
}

// purge removes a folder that a table had to itself.
func (s *Server) purge(folder string) error {
	if _, err := s.checkPlace(folder); err != nil {
		return fmt.Errorf("purge: %w", err)
	}
	return s.cat.IO().RemoveAll(folder)
}

// folderOf gives the folder of a table, whose metadata is in the folder metadata below it.
func folderOf(metadataLocation string) string {
	return path.Dir(path.Dir(catalog.Path(metadataLocation)))
}

func (s *Server) renameTable(r *request) error { return s.rename(r, catalog.KindTable) }

func (s *Server) rename(r *request, kind catalog.Kind) error {
	var body struct {
		Source      identifier `json:"source"`
		Destination identifier `json:"destination"`
	}
	if err := r.read(&body); err != nil {
		return err
	}
	from, err := body.Source.parse()
	if err != nil {
		return err
	}
	to, err := body.Destination.parse()
	if err != nil {
		return err
	}
	for _, ident := range []table.Identifier{from, to} {
		if ours(ident) {
			return guarded(strings.ToLower(string(kind)), ident)
		}
	}
	r.ident, r.kind = from, kind
	if _, err := s.cat.Pointer(r.c, from, kind); err != nil {
		return err
	}
	r.ident = to
	err = s.cat.Rename(r.c, from, to, kind)
	switch {
	case errors.Is(err, icecat.ErrTableAlreadyExists):
		return renameTaken(from, to, "Table")
	case errors.Is(err, icecat.ErrViewAlreadyExists):
		return renameTaken(from, to, "View")
	case err != nil:
		return err
	}
	return r.sendNothing()
}

func renameTaken(from, to table.Identifier, what string) *Error {
	return newError(http.StatusConflict, "AlreadyExistsException", "Cannot rename %s to %s. %s already exists", dotted(from), dotted(to), what)
}

// registerTable gives metadata that exists already a name.
func (s *Server) registerTable(r *request) error {
	location, err := s.registration(r, catalog.KindTable)
	if err != nil {
		return err
	}
	if err := s.checkRegistered(location); err != nil {
		return err
	}
	t, err := s.cat.RegisterTable(r.c, r.ident, location)
	if err != nil {
		return err
	}
	return r.sendTable(t.MetadataLocation(), allSnapshots)
}

// registration reads and checks what is to be registered under which name, and gives the location of its metadata.
func (s *Server) registration(r *request, kind catalog.Kind) (location string, err error) {
	if err := r.inNamespace(); err != nil {
		return "", err
	}
	var body struct {
		Name      string `json:"name"`
		Location  string `json:"metadata-location"`
		Overwrite bool   `json:"overwrite"` // of tables
	}
	if err := r.read(&body); err != nil {
		return "", err
	}
	if err := r.claim(kind, body.Name); err != nil {
		return "", err
	}
	if err := s.checkFile("metadata", body.Location); err != nil {
		return "", err
	}
	if body.Overwrite && kind == catalog.KindTable {
		return "", newError(http.StatusNotAcceptable, "UnsupportedOperationException", "Overwriting a registered table is not supported")
	}
	return body.Location, s.vacant(r)
}

// readMetadata reads a metadata file that a client names.
func (s *Server) readMetadata(location string) ([]byte, error) {
	data, err := s.cat.IO().ReadFile(location)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, newError(http.StatusNotFound, "NotFoundException", "Failed to open input stream for file: %s", location)
	}
	if err != nil {
		return nil, badRequest("Cannot read metadata %.200q", location)
	}
	return data, nil
}

// checkRegistered checks what metadata says of itself: that it is in its table's folder, and names nothing of ours.
func (s *Server) checkRegistered(location string) error {
	data, err := s.readMetadata(location)
	if err != nil {
		return err
	}
	meta, err := table.ParseMetadataBytes(data)
	if err != nil {
		return badRequest("Cannot parse metadata %.200q: %s", location, err)
	}
	place, err := s.checkPlace(meta.Location())
	if err != nil {
		return err
	}
	if folderOf(location) != catalog.Path(place) || path.Base(path.Dir(catalog.Path(location))) != "metadata" {
		return badRequest("Metadata %.200q is not in the folder of its table, %.200q", location, place+"/metadata")
	}
	if err := s.checkProperties(meta.Properties()); err != nil {
		return err
	}
	for _, snapshot := range meta.Snapshots() {
		if err := s.checkSnapshot(&snapshot); err != nil {
			return err
		}
	}
	return nil
}

// checkSnapshot checks that a snapshot, which a client has written, is the client's: its manifests are below the guests'
// folder and name no file of ours.
func (s *Server) checkSnapshot(snapshot *table.Snapshot) error {
	if err := s.checkFile("a snapshot's manifest list", snapshot.ManifestList); err != nil {
		return err
	}
	manifests, err := snapshot.Manifests(s.cat.IO())
	if err != nil {
		return badRequest("Cannot read manifest list %.200q", snapshot.ManifestList)
	}
	for _, m := range manifests {
		if err := s.checkFile("a manifest", m.FilePath()); err != nil {
			return err
		}
		if m.SnapshotID() != snapshot.SnapshotID {
			continue // checked with its own snapshot
		}
		if err := s.checkManifest(m); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) checkManifest(m iceberg.ManifestFile) error {
	for entry, err := range m.Entries(s.cat.IO(), true) {
		if err != nil {
			return badRequest("Cannot read manifest %.200q", m.FilePath())
		}
		if file := entry.DataFile().FilePath(); s.private(file) {
			return forbidden("File %.300q belongs to the server and cannot be part of another table", file)
		}
	}
	return nil
}

// reportMetrics checks a report, and drops it.
func (s *Server) reportMetrics(r *request) error {
	if err := r.named(catalog.KindTable); err != nil {
		return err
	}
	var body struct {
		Type string `json:"report-type"`
	}
	if err := r.read(&body); err != nil {
		return err
	}
	if body.Type == "" {
		return badRequest("Missing report-type")
	}
	if _, err := s.cat.Pointer(r.c, r.ident, catalog.KindTable); err != nil {
		return err
	}
	return r.sendNothing()
}

// canonical gives a value of iceberg-go as it would encode it, decoded into what of it we look at: so that what is checked
// is what will be applied, however the client spelled it.
func canonical(from, into any) error {
	data, err := json.Marshal(from)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	return json.NewDecoder(bytes.NewReader(data)).Decode(into)
}
