package rest

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/apache/iceberg-go/view"
	"github.com/google/uuid"

	"headless.ly/catalog"
)

// viewAttempts bounds how often a view's commit is built on what is current because another one came between.
const viewAttempts = 10

func (s *Server) listViews(r *request) error { return s.list(r, catalog.KindView) }

func (s *Server) loadView(r *request) error {
	if err := r.named(catalog.KindView); err != nil {
		return err
	}
	location, err := s.cat.Pointer(r.c, r.ident, catalog.KindView)
	if err != nil {
		return err
	}
	return r.sendView(location)
}

func (r *request) sendView(location string) error {
	body, err := r.s.answer(location, allSnapshots)
	if err != nil {
		return err
	}
	return r.send(http.StatusOK, body)
}

func (s *Server) viewExists(r *request) error { return s.exists(r, catalog.KindView) }

// viewBody asks for a view.
type viewBody struct {
	Name       string             `json:"name"`
	Location   string             `json:"location"`
	Schema     *iceberg.Schema    `json:"schema"`
	Version    *view.Version      `json:"view-version"`
	Properties iceberg.Properties `json:"properties"`
}

func (s *Server) createView(r *request) error {
	if err := r.inNamespace(); err != nil {
		return err
	}
	var body viewBody
	if err := r.read(&body); err != nil {
		return err
	}
	if err := r.claim(catalog.KindView, body.Name); err != nil {
		return err
	}
	meta, err := s.newView(r.ident, &body)
	if err != nil {
		return err
	}
	if err := s.vacant(r); err != nil {
		return err
	}
	location, err := s.cat.PutView(r.c, catalog.ViewChange{Identifier: r.ident, Metadata: meta})
	if err != nil {
		return err
	}
	return r.sendView(location)
}

// newView builds the first metadata of a view that is asked for.
func (s *Server) newView(ident table.Identifier, body *viewBody) (view.Metadata, error) {
	if body.Schema == nil || body.Version == nil {
		return nil, badRequest("Missing schema or view-version")
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
	version, schema := body.Version.Clone(), iceberg.NewSchemaWithIdentifiers(0, body.Schema.IdentifierFieldIDs, body.Schema.Fields()...)
	version.VersionID, version.SchemaID = view.InitialVersionID, 0
	meta, err := view.NewMetadata(version, schema, location, body.Properties)
	if err != nil {
		return nil, badRequest("Cannot create view %s: %s", dotted(ident), err)
	}
	return meta, nil
}

// viewCommit is what a client wants to change of a view.
type viewCommit struct {
	Identifier   *identifier       `json:"identifier"`
	Requirements []json.RawMessage `json:"requirements"`
	Updates      view.Updates      `json:"updates"`
}

// commitView replaces a view's SQL, schema, properties or location.
func (s *Server) commitView(r *request) error {
	if err := r.named(catalog.KindView); err != nil {
		return err
	}
	var body viewCommit
	if err := r.read(&body); err != nil {
		return err
	}
	if body.Identifier != nil {
		if ident, err := body.Identifier.parse(); err != nil || !slices.Equal(ident, r.ident) {
			return badRequest("The body is about another view than %s", dotted(r.ident))
		}
	}
	if ours(r.ident) {
		return guarded("view", r.ident)
	}
	uuids, err := parseViewRequirements(body.Requirements)
	if err != nil {
		return err
	}
	if err := s.checkViewUpdates(body.Updates); err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		location, err := s.replaceView(r, uuids, body.Updates)
		if err == nil {
			return r.sendView(location)
		}
		if !errors.Is(err, catalog.ErrConflict) || attempt == viewAttempts {
			return err
		}
	}
}

func parseViewRequirements(all []json.RawMessage) ([]uuid.UUID, error) {
	if len(all) > maxUpdates {
		return nil, badRequest("A commit has up to %d requirements", maxUpdates)
	}
	var uuids []uuid.UUID
	for _, raw := range all {
		parsed, err := view.ParseRequirementBytes(raw)
		if err != nil {
			return nil, badRequest("Invalid requirement %.200s: %s", raw, err)
		}
		var req requirement // the one there is says which view is meant
		if err := canonical(parsed, &req); err != nil {
			return nil, err
		}
		uuids = append(uuids, req.UUID)
	}
	return uuids, nil
}

func (s *Server) checkViewUpdates(updates view.Updates) error {
	if len(updates) > maxUpdates {
		return badRequest("A commit has up to %d updates", maxUpdates)
	}
	for _, u := range updates {
		var up update
		if err := canonical(u, &up); err != nil {
			return err
		}
		if up.Action == table.UpdateSetLocation {
			if _, err := s.checkPlace(up.Location); err != nil {
				return err
			}
		}
		if err := s.checkProperties(up.Properties); err != nil {
			return err
		}
	}
	return nil
}

// replaceView applies updates to a view as it is now, and gives where its metadata is then.
func (s *Server) replaceView(r *request, uuids []uuid.UUID, updates view.Updates) (string, error) {
	base, location, err := s.cat.View(r.c, r.ident)
	if err != nil {
		return "", err
	}
	for _, id := range uuids {
		if id != base.ViewUUID() {
			return "", commitFailed("Requirement failed: view UUID does not match: expected %s != %s", base.ViewUUID(), id)
		}
	}
	b, err := view.MetadataBuilderFromBase(base)
	if err != nil {
		return "", err
	}
	for _, u := range updates {
		if err := u.Apply(b); err != nil {
			return "", badRequest("Cannot change view %s: %s", dotted(r.ident), err)
		}
	}
	next, err := b.Build()
	if err != nil {
		return "", badRequest("Cannot change view %s: %s", dotted(r.ident), err)
	}
	if len(next.Changes) == 0 {
		return location, nil
	}
	return s.cat.PutView(r.c, catalog.ViewChange{Identifier: r.ident, Base: location, Metadata: next})
}

func (s *Server) dropView(r *request) error {
	if err := r.named(catalog.KindView); err != nil {
		return err
	}
	if ours(r.ident) {
		return guarded("view", r.ident)
	}
	if _, err := s.cat.Drop(r.c, r.ident, catalog.KindView); err != nil {
		return err
	}
	return r.sendNothing()
}

func (s *Server) renameView(r *request) error { return s.rename(r, catalog.KindView) }

// registerView gives a view's metadata that exists already a name.
func (s *Server) registerView(r *request) error {
	location, err := s.registration(r, catalog.KindView)
	if err != nil {
		return err
	}
	data, err := s.readMetadata(location)
	if err != nil {
		return err
	}
	meta, err := view.ParseMetadataBytes(data)
	if err != nil {
		return badRequest("Cannot parse metadata %.200q: %s", location, err)
	}
	if _, err := s.checkPlace(meta.Location()); err != nil {
		return err
	}
	if err := s.cat.RegisterView(r.c, r.ident, location, meta); err != nil {
		return err
	}
	return r.sendView("file://" + catalog.Path(location))
}
