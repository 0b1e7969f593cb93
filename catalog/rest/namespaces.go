package rest

import (
	"net/http"
	"slices"
	"strings"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"headless.ly/catalog"
)

// config tells a client what there is. A client that asks for a warehouse gets the one there is, or nothing.
func (s *Server) config(r *request) error {
	switch warehouse := r.c.Query("warehouse"); warehouse {
	case "", Warehouse, s.cat.Location():
	default:
		return newError(http.StatusNotFound, "NoSuchWarehouseException", "Warehouse does not exist: %.100q", warehouse)
	}
	return r.sendJSON(struct {
		Defaults  iceberg.Properties `json:"defaults"`
		Overrides iceberg.Properties `json:"overrides"`
		Endpoints []string           `json:"endpoints"`
	}{iceberg.Properties{}, iceberg.Properties{}, s.Endpoints()})
}

func (s *Server) listNamespaces(r *request) error {
	q := r.c.Request.URL.Query()
	var parent table.Identifier
	if text := q.Get("parent"); text != "" {
		var err error
		if parent, err = parseNamespace(strings.Split(text, separator)); err != nil {
			return err
		}
		r.namespace = parent
	}
	p, err := parsePage(q)
	if err != nil {
		return err
	}
	names, next, err := collect(p, func(after string, limit int) ([]string, error) {
		found, err := s.cat.Namespaces(r.c, parent, after, limit)
		names := make([]string, len(found))
		for i, ns := range found {
			names[i] = ns[len(ns)-1]
		}
		return names, err
	})
	if err != nil {
		return err
	}
	all := make([]table.Identifier, len(names))
	for i, name := range names {
		all[i] = append(slices.Clone(parent), name)
	}
	return r.sendJSON(struct {
		Namespaces []table.Identifier `json:"namespaces"`
		Next       *string            `json:"next-page-token,omitempty"`
	}{all, next})
}

// namespaceBody is a namespace in a request and in an answer.
type namespaceBody struct {
	Namespace  []string           `json:"namespace"`
	Properties iceberg.Properties `json:"properties"`
}

func (s *Server) createNamespace(r *request) error {
	var body namespaceBody
	if err := r.read(&body); err != nil {
		return err
	}
	ns, err := parseNamespace(body.Namespace)
	if err != nil {
		return err
	}
	r.namespace = ns
	if ours(ns) && len(ns) > 1 {
		return guarded("namespace", ns)
	}
	if len(ns) > 1 {
		r.namespace = ns[:len(ns)-1] // the one that may be missing
		if exists, err := s.cat.CheckNamespaceExists(r.c, r.namespace); err != nil || !exists {
			return noNamespace(r.namespace)
		}
		r.namespace = ns
	}
	if err := s.cat.CreateNamespace(r.c, ns, body.Properties); err != nil {
		return err
	}
	if body.Properties == nil {
		body.Properties = iceberg.Properties{}
	}
	return r.sendJSON(namespaceBody{ns, body.Properties})
}

// loadNamespace serves HEAD too.
func (s *Server) loadNamespace(r *request) error {
	if err := r.inNamespace(); err != nil {
		return err
	}
	if r.c.Request.Method == http.MethodHead {
		exists, err := s.cat.CheckNamespaceExists(r.c, r.namespace)
		if err == nil && !exists {
			err = noNamespace(r.namespace)
		}
		if err != nil {
			return err
		}
		return r.sendNothing()
	}
	props, err := s.cat.LoadNamespaceProperties(r.c, r.namespace)
	if err != nil {
		return err
	}
	return r.sendJSON(namespaceBody{r.namespace, props})
}

func (s *Server) dropNamespace(r *request) error {
	if err := r.inNamespace(); err != nil {
		return err
	}
	if ours(r.namespace) {
		return guarded("namespace", r.namespace)
	}
	if err := s.cat.DropNamespace(r.c, r.namespace); err != nil {
		return err
	}
	return r.sendNothing()
}

func (s *Server) updateNamespace(r *request) error {
	if err := r.inNamespace(); err != nil {
		return err
	}
	var body struct {
		Removals []string           `json:"removals"`
		Updates  iceberg.Properties `json:"updates"`
	}
	if err := r.read(&body); err != nil {
		return err
	}
	if ours(r.namespace) {
		return guarded("namespace", r.namespace)
	}
	for _, key := range body.Removals {
		if _, both := body.Updates[key]; both {
			return newError(http.StatusUnprocessableEntity, "UnprocessableEntityException",
				"Invalid namespace properties request, key %.100q is in both removals and updates", key)
		}
	}
	done, err := s.cat.UpdateNamespaceProperties(r.c, r.namespace, body.Removals, body.Updates)
	if err != nil {
		return err
	}
	return r.sendJSON(struct {
		Updated []string `json:"updated"`
		Removed []string `json:"removed"`
		Missing []string `json:"missing"`
	}{orEmpty(done.Updated), orEmpty(done.Removed), orEmpty(done.Missing)})
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// guarded says why something of ours cannot be changed here.
func guarded(what string, ident table.Identifier) *Error {
	return forbidden("%s %s belongs to the server: what is in namespace %s changes only by writing entities through the API. "+
		"Create a namespace of your own, such as lab, beside it", what, dotted(ident), catalog.Namespace)
}
