package rest

import (
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/gin-gonic/gin"
	lru "github.com/hashicorp/golang-lru/v2"

	"headless.ly/catalog"
)

// Warehouse is the name of the warehouse. Clients may leave it out, or give its location instead.
const Warehouse = "headlessly"

// Limits.
const (
	maxBody     = 32 << 20 // bytes of a request: a transaction over many wide tables is below 1 MB
	maxName     = 255      // bytes of a part of a name
	maxLevels   = 16       // parts of a namespace
	maxPage     = 1000     // names in a page, also when the client asks for more; also names read from catalog.db at a time
	maxChanges  = 1000     // tables in a transaction
	maxUpdates  = 10000    // updates, and requirements, of a table in one commit
	answersKept = 64       // load answers kept in memory
	maxKept     = 1 << 20  // bytes of an answer that is kept; larger ones are made for each request
)

// Config says what to serve. Catalog is required.
type Config struct {
	Catalog *catalog.Catalog

	// Authenticate decides who asks, before anything of a request but its header is read. Its error is answered with 401
	// NotAuthorizedException, unless it is another *Error. Nil admits everybody: right only where nobody else can connect.
	// Bearer tokens, and the client-credentials grant that issues them, belong behind it.
	Authenticate func(*http.Request) error

	// Places are further folders, as file URIs, below which guests may put tables and views: of another disk, say. Everything
	// in them is theirs. By default there is only the guests' folder of the warehouse.
	Places []string

	Logger *slog.Logger // slog.Default()
}

// Server is the catalog's http.Handler. Its paths begin with /v1. It is safe for concurrent use.
type Server struct {
	cfg     Config
	cat     *catalog.Catalog
	routes  *gin.Engine
	answers *lru.Cache[string, []byte] // load answers by location of the metadata and mode
}

// New builds a Server.
func New(cfg Config) *Server {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Authenticate == nil {
		cfg.Authenticate = func(*http.Request) error { return nil }
	}
	s := &Server{cfg: cfg, cat: cfg.Catalog}
	var err error
	if s.answers, err = lru.New[string, []byte](answersKept); err != nil {
		panic(err) // only for a size that is not positive
	}
	s.routes = s.route()
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.routes.ServeHTTP(w, r) }

// endpoint is a method and a path of the specification, and what serves it.
type endpoint struct {
	method, path string
	serve        func(*request) error
}

// prefix stands in the specification's paths for what a catalog may put between the version and the rest: here nothing.
const prefix = "/{prefix}"

func (s *Server) endpoints() []endpoint {
	const (
		namespaces = "/v1/{prefix}/namespaces"
		namespace  = namespaces + "/{namespace}"
		tables     = namespace + "/tables"
		table      = tables + "/{table}"
		views      = namespace + "/views"
		view       = views + "/{view}"
	)
	return []endpoint{
		{http.MethodGet, namespaces, s.listNamespaces},
		{http.MethodPost, namespaces, s.createNamespace},
		{http.MethodGet, namespace, s.loadNamespace},
		{http.MethodHead, namespace, s.loadNamespace},
		{http.MethodDelete, namespace, s.dropNamespace},
		{http.MethodPost, namespace + "/properties", s.updateNamespace},
		{http.MethodGet, tables, s.listTables},
		{http.MethodPost, tables, s.createTable},
		{http.MethodGet, table, s.loadTable},
		{http.MethodHead, table, s.tableExists},
		{http.MethodPost, table, s.commitTable},
		{http.MethodDelete, table, s.dropTable},
		{http.MethodPost, table + "/metrics", s.reportMetrics},
		{http.MethodPost, namespace + "/register", s.registerTable},
		{http.MethodPost, "/v1/{prefix}/tables/rename", s.renameTable},
		{http.MethodPost, "/v1/{prefix}/transactions/commit", s.commitTransaction},
		{http.MethodGet, views, s.listViews},
		{http.MethodPost, views, s.createView},
		{http.MethodGet, view, s.loadView},
		{http.MethodHead, view, s.viewExists},
		{http.MethodPost, view, s.commitView},
		{http.MethodDelete, view, s.dropView},
		{http.MethodPost, namespace + "/register-view", s.registerView},
		{http.MethodPost, "/v1/{prefix}/views/rename", s.renameView},
	}
}

// Endpoints lists what is served, as the config answer names it.
func (s *Server) Endpoints() []string {
	var names []string
	for _, e := range s.endpoints() {
		names = append(names, e.method+" "+e.path)
	}
	return names
}

// route makes the tree of paths. It matches the escaped path: an encoded slash is a character of a name, never a border of
// one, and the names' own checks see it.
func (s *Server) route() *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.UseEscapedPath = true
	e.UnescapePathValues = false
	e.RedirectTrailingSlash = false
	e.HandleMethodNotAllowed = true
	e.NoRoute(s.handle(func(r *request) error {
		return newError(http.StatusNotFound, "NotFoundException", "There is no such endpoint: %s", r.path())
	}))
	e.NoMethod(s.handle(func(r *request) error {
		return newError(http.StatusMethodNotAllowed, "UnsupportedOperationException",
			"%s is not supported at %s", r.c.Request.Method, r.path())
	}))
	e.GET("/v1/config", s.handle(s.config))
	for _, ep := range s.endpoints() {
		e.Handle(ep.method, ginPath(ep.path), s.handle(ep.serve))
	}
	return e
}

// handle serves a request: who asks, what is asked, and one place for errors.
func (s *Server) handle(serve func(*request) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		r := &request{s: s, c: c}
		defer r.recovered()
		err := s.cfg.Authenticate(c.Request)
		if err != nil && !errors.As(err, new(*Error)) {
			err = newError(http.StatusUnauthorized, "NotAuthorizedException", "%s", err)
		}
		if err == nil {
			err = serve(r)
		}
		if err != nil {
			r.fail(err)
		}
	}
}

// recovered ends a request whose handler panicked. It must be deferred.
func (r *request) recovered() {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler || r.c.Writer.Written() {
		panic(http.ErrAbortHandler) // half an answer is none: net/http cuts the connection
	}
	r.s.cfg.Logger.Error("iceberg request panicked", "method", r.c.Request.Method, "path", r.path(), "panic", v, "stack", string(debug.Stack()))
	r.fail(errors.New("panic"))
}
