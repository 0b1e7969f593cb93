package api

import (
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"headless.ly/catalog/problem"
)

// get is the methods of a route that reads: net/http leaves the body out of an answer to HEAD.
var get = []string{http.MethodGet, http.MethodHead}

// icebergPath is where the Iceberg REST catalog is: engines get the server's URL and this.
const icebergPath = "/iceberg"

// routes is the table of all paths. gin's tree matches the escaped path, so that an encoded slash is a character of a
// segment and never a border of one; request.go decodes the segments itself, because gin would read + as a space.
//
// The words after ~tenant that are not nouns (assets, events, export, import, jobs, manifest, metrics,
// nouns, sql, status) stand beside the parameter
// :noun; the tree prefers them. Methods that such a word does not list fall through to the noun of the same name.
func (s *Service) routes() *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.UseEscapedPath = true
	e.UnescapePathValues = false
	e.RedirectTrailingSlash = false
	e.HandleMethodNotAllowed = true
	e.Use(s.begin)
	e.NoRoute(s.unread(unknownPath))
	e.NoMethod(s.unread(unknownMethod))

	e.Match(get, "/", s.serve(discovery))
	e.Match(get, "/healthz", s.serve(alive))
	e.Match(get, "/readyz", s.serve(ready))
	e.Match(get, "/status", s.serve(serverStatus))
	e.Match(get, "/api/schema", s.serve(schemaSummary))
	e.Match(get, "/api/schema/:noun", s.serve(schema))

	e.POST("/analytics/query", s.serve(analytics))
	if s.cfg.Iceberg != nil {
		e.Any(icebergPath+"/*path", gin.WrapH(http.StripPrefix(icebergPath, s.cfg.Iceberg)))
	}

	tenant := e.Group("/~:tenant")
	if s.cfg.Eraser != nil {
		tenant.DELETE("", s.serve(eraseTenant))
	}
	tenant.Match(get, "/status", s.serve(status))
	tenant.Match(get, "/nouns", s.serve(schemas))
	tenant.Match(get, "/nouns/:noun", s.serve(schema))
	tenant.Match(get, "/events", s.serve(listEvents))
	tenant.Match(get, "/events/:id", s.serve(getEvent))
	tenant.POST("/events", s.serve(createEvent))
	tenant.Match(get, "/metrics", s.serve(metrics))
	tenant.Match(get, "/sql", s.serve(runSQL))
	tenant.POST("/sql", s.serve(runSQL))
	if s.imports != nil {
		tenant.POST("/import/:noun", s.serve(importRows))
		tenant.Match(get, "/jobs", s.serve(listJobs))
		tenant.Match(get, "/jobs/:id", s.serve(getJob))
		tenant.DELETE("/jobs/:id", s.serve(cancelJob))
	}
	tenant.Match(get, "/export/:noun", s.serve(export))
	if s.cfg.Assets != "" {
		tenant.Match(get, "/manifest", s.serve(manifest))
		tenant.Match(get, "/assets/:id", s.serve(asset))
	}

	s.nounRoutes(tenant)
	s.nounRoutes(e.Group("/api"))
	return e
}

// nounRoutes are the routes that all nouns have at both addresses.
func (s *Service) nounRoutes(g *gin.RouterGroup) {
	g.Match(get, "/:noun", s.serve(list))
	g.POST("/:noun", s.serve(create))
	g.Match(get, "/:noun/aggregate", s.serve(aggregate))
	g.POST("/:noun/aggregate", s.serve(aggregate))
	g.Match(get, "/:noun/:id", s.serve(getEntity))
	g.PUT("/:noun/:id", s.serve(update))
	g.PATCH("/:noun/:id", s.serve(update))
	g.DELETE("/:noun/:id", s.serve(remove))
	g.POST("/:noun/:id", s.serve(creatingVerb)) // :id is the verb
	g.Match(get, "/:noun/:id/:action", s.serve(look))
	g.POST("/:noun/:id/:action", s.serve(act))
}

// unknownPath says that there is nothing; of an address with a bad tenant, that the tenant is bad.
// unknownTenant refuses a path that begins with what is no tenant's name, whatever follows.
func unknownTenant(r *request) error {
	rest, ok := strings.CutPrefix(r.c.Request.URL.EscapedPath(), "/~")
	if !ok {
		return nil
	}
	segment, _, _ := strings.Cut(rest, "/")
	_, err := parseTenant(segment)
	return err
}

func unknownPath(r *request) error {
	if err := unknownTenant(r); err != nil {
		return err
	}
	return problem.New(problem.NotFound, "there is nothing at %s; entities are at /~{tenant}/{Entity}/{id}", cut(r.c.Request.URL.Path))
}

func unknownMethod(r *request) error {
	if err := unknownTenant(r); err != nil {
		r.c.Writer.Header().Del("Allow")
		return err
	}
	return problem.New(problem.MethodNotAllowed, "%s is not allowed at %s; allowed: %s",
		r.c.Request.Method, cut(r.c.Request.URL.Path), r.c.Writer.Header().Get("Allow"))
}
