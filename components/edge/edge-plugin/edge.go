// Package bulkhead is what Traefik cannot do by itself: hold a body to its limits while it passes, and tell clients apart
// of whom many share one address. Traefik interprets this file at its start, as a plugin.
package bulkhead

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"reflect"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Config is what a middleware of a route file says. Kind decides which of the others count.
type Config struct {
	// Kind is limits, linger, client, answer, redirect, page or maintenance.
	Kind string

	// Service is whose limits these are, for the log.
	Service string
	// MaxBodyBytes is the largest body of a request.
	MaxBodyBytes int64
	// BodyGapSeconds is how long a body may stand still before it is cut.
	BodyGapSeconds int
	// ResponseTimeoutSeconds is what the service's transport waits for the first byte, for the log.
	ResponseTimeoutSeconds int
	// FromClient says that a request comes from a client, who may say nothing of what the edge says of it.
	FromClient bool
	// RefusedPaths is a regular expression of what is answered 400. It looks at the path as it is encoded.
	RefusedPaths string
	// OwnHeaders is a regular expression of names of headers that no client may send, because the service takes what stands
	// there for the edge's word.
	OwnHeaders string

	// Forwarded takes the last address of X-Forwarded-For for the client's, and not the connection's.
	Forwarded bool
	// Shared has addresses that many clients share.
	Shared []Shared
	// Requests is how many may be under way at once, of all clients on all routes.
	Requests int
	// RequestsPerClient is how many of them one client may have.
	RequestsPerClient int

	// Status answers every request.
	Status int
	// Page is a file that answers clients which take HTML, instead of a word.
	Page string
	// Pages are such files by status, which is the end of the path that is asked for.
	Pages map[string]string

	// AllowFrom are addresses, as CIDR, of clients that maintenance lets through.
	AllowFrom []string
	// Health has what it lets through for everybody, as host and path.
	Health []string
	// RetryAfterSeconds is when the others may ask again.
	RetryAfterSeconds int

	// To is the host that a redirect leads to; empty: the one that was asked for.
	To string
	// Port follows it in the URL, like ":8443"; empty for 443.
	Port string
}

// Shared counts as as many clients as it says.
type Shared struct {
	Range   string
	Clients int
}

// CreateConfig is called by Traefik.
func CreateConfig() *Config {
	return &Config{}
}

// New is called by Traefik, once for each route that names the middleware.
func New(_ context.Context, next http.Handler, config *Config, name string) (http.Handler, error) {
	switch config.Kind {
	case "limits":
		if config.MaxBodyBytes <= 0 || config.BodyGapSeconds <= 0 {
			return nil, fmt.Errorf("%s: maxBodyBytes and bodyGapSeconds have to be more than 0", name)
		}
		l := &limits{next: next, config: config, gap: time.Duration(config.BodyGapSeconds) * time.Second}
		if config.RefusedPaths != "" {
			refused, err := regexp.Compile(config.RefusedPaths)
			if err != nil {
				return nil, fmt.Errorf("%s: refusedPaths: %w", name, err)
			}
			l.refused = refused
		}
		if config.OwnHeaders != "" {
			own, err := regexp.Compile(config.OwnHeaders)
			if err != nil {
				return nil, fmt.Errorf("%s: ownHeaders: %w", name, err)
			}
			l.own = own
		}
		return l, nil
	case "linger":
		return &lingering{next: next}, nil
	case "client":
		return newClients(next, config)
	case "answer":
		page, err := readPage(config.Page)
		if err != nil {
			return nil, err
		}
		return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
			answerPage(rw, req, config.Status, page)
		}), nil
	case "page":
		return newPages(config)
	case "maintenance":
		return newMaintenance(next, config)
	case "redirect":
		return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) { redirect(rw, req, config) }), nil
	}
	return nil, fmt.Errorf("%s: no kind %q", name, config.Kind)
}

// clientHeader names a request's client for the limits that come after, whatever the request itself says in it.
const clientHeader = "Bulkhead-Client"

type clients struct {
	next     http.Handler
	config   *Config
	prefixes []netip.Prefix
	counts   []int
	turn     atomic.Int64
}

func newClients(next http.Handler, config *Config) (http.Handler, error) {
	if config.Requests <= 0 || config.RequestsPerClient <= 0 {
		return nil, errors.New("requests and requestsPerClient have to be more than 0")
	}
	c := &clients{next: next, config: config}
	for _, shared := range config.Shared {
		prefix, err := netip.ParsePrefix(shared.Range)
		if err != nil {
			return nil, err
		}
		c.prefixes = append(c.prefixes, prefix)
		c.counts = append(c.counts, shared.Clients)
	}
	return c, nil
}

func (c *clients) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	if req.ProtoMajor == 2 && ofAll.Load()*4 < int64(c.config.Requests) {
		// A reset that was sent right behind the request is read first. Where very many come at once nobody waits here.
		runtime.Gosched()
	}
	if left(rw, req) {
		return
	}
	client := c.clientOf(req)
	req.Header.Set(clientHeader, client)
	ofOne := &ofOnes[maphash.String(seed, client)%uint64(len(ofOnes))]
	if !c.begins(ofOne) && !c.waits(ofOne, req) {
		if !left(rw, req) {
			refuse(rw, c.config.Requests)
			tellRefused(client)
		}
		return
	}
	defer func() {
		ofAll.Add(-1)
		atomic.AddInt64(ofOne, -1)
	}()
	if req.ProtoMajor == 2 {
		runtime.Gosched()
	}
	if left(rw, req) {
		return
	}
	c.next.ServeHTTP(rw, req)
	// Traefik's limit of requests a second says so in a header, which costs less to read than the status.
	if rw.Header().Get("X-Retry-In") != "" {
		tellRefused(client)
	}
	// It is under way until the connection has taken all of it: who reads nothing keeps 32 of them waiting on each. An answer
	// of gRPC that has nothing but its status has to stay one frame.
	if req.ProtoMajor == 2 && rw.Header().Get("Grpc-Status") == "" {
		flush(rw)
	}
}

// Requests under way. Each route has a middleware of its own, and all of them have this package. Nothing waits for a lock
// here: tens of thousands of streams may come at once, and each that waits has its memory.
var (
	ofAll atomic.Int64
	// ofOnes counts the clients by a hash that nobody outside can know.
	ofOnes = make([]int64, 1<<16)
	seed   = maphash.MakeSeed()
)

// begins counts a request among all and among those of its client, unless it is one too many. When a quarter of what there
// is memory for is taken, everybody's part becomes smaller, and soon: who takes all that it can get keeps what it has for as
// long as it likes, and there has to be room for one more client, even if fifty do so.
func (c *clients) begins(ofOne *int64) bool {
	requests, most := int64(c.config.Requests), int64(c.config.RequestsPerClient)
	for {
		all, one := ofAll.Load(), atomic.LoadInt64(ofOne)
		free := float64(requests-all) * 4 / float64(requests*3)
		part := least + int64(float64(most)*free*free*free*free*free*free)
		if all >= requests || one >= most || one >= part {
			return false
		}
		if ofAll.CompareAndSwap(all, all+1) {
			atomic.AddInt64(ofOne, 1)
			return true
		}
	}
}

// least is the part of a client that everybody has, for as long as there is any room.
const least = 10

// waiting is how many wait until others are done.
var waiting atomic.Int64

// waitWithin is enough for the 1,600 parts of forty people's pages at once, on two busy cores too. longestPause is what a
// request sleeps at most before it looks for room again: a thousand may wait, and each look takes time from those that work.
const (
	waitWithin   = 5 * time.Second
	longestPause = 640 * time.Millisecond
)

// waits lets a request wait until others are done.
func (c *clients) waits(ofOne *int64, req *http.Request) bool {
	defer waiting.Add(-1)
	if waiting.Add(1) > int64(c.config.Requests) {
		return false
	}
	pause := 20 * time.Millisecond
	for ends := time.Now().Add(waitWithin); time.Now().Before(ends); {
		time.Sleep(pause)
		if req.Context().Err() != nil {
			return false
		}
		if c.begins(ofOne) {
			return true
		}
		if pause < longestPause {
			pause *= 2
		}
	}
	return false
}

// refusing is how many are being told so.
var refusing atomic.Int64

// refuseWithin is how long a client may take to read that it was refused, and refuseSoon where many do not read it.
const (
	refuseWithin = 5 * time.Second
	refuseSoon   = time.Second
)

// refuse answers 429. A client that does not read even that loses its connection: it may have 32 such answers waiting on it,
// each with a goroutine here.
func refuse(rw http.ResponseWriter, requests int) {
	defer refusing.Add(-1)
	told := int(refusing.Add(1))
	if told > requests {
		cut(rw)
		return
	}
	within := refuseWithin
	if told > requests/4 {
		within = refuseSoon
	}
	ends := time.AfterFunc(within, func() { cut(rw) })
	answer(rw, http.StatusTooManyRequests)
	flush(rw)
	ends.Stop()
}

// toldAfter is how long refused requests are counted for one line in the log.
const toldAfter = 10 * time.Second

var (
	refusals sync.Mutex
	refused  = map[string]int{}
)

// tellRefused counts it for a line of its client: one for each request, as all others have, would be a flood of its own.
func tellRefused(client string) {
	// Where very many are refused at once, some are not counted.
	if !refusals.TryLock() {
		return
	}
	defer refusals.Unlock()
	if len(refused) == 0 {
		time.AfterFunc(toldAfter, writeRefused)
	}
	if len(refused) < 1000 || refused[client] > 0 {
		refused[client]++
	}
}

func writeRefused() {
	refusals.Lock()
	told := refused
	refused = map[string]int{}
	refusals.Unlock()
	for client, count := range told {
		write(map[string]string{
			"msg": "429: at least " + strconv.Itoa(count) + " requests, more than requestsPerSecond, burst or " +
				"connectionsPerClient, or than memoryMb has room for",
			"client": client,
		})
	}
}

// addressOf is whose request it is: the connection's, or the one that the proxy saw.
func addressOf(req *http.Request, forwarded bool) string {
	text := req.RemoteAddr
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	if forwarded {
		// The last address is the one that the proxy saw; those before it are what the client says of itself.
		all := strings.Split(strings.Join(req.Header.Values("X-Forwarded-For"), ","), ",")
		if last := strings.TrimSpace(all[len(all)-1]); last != "" {
			text = last
		}
	}
	return text
}

func (c *clients) clientOf(req *http.Request) string {
	// What most are, without a step more: each costs a microsecond here.
	if !c.config.Forwarded && len(c.prefixes) == 0 && req.RemoteAddr != "" && req.RemoteAddr[0] != '[' {
		return req.RemoteAddr[:strings.LastIndexByte(req.RemoteAddr, ':')]
	}
	text := addressOf(req, c.config.Forwarded)
	address, err := netip.ParseAddr(text)
	if err != nil {
		return text
	}
	address = address.Unmap().WithZone("")
	for i, prefix := range c.prefixes {
		if prefix.Contains(address) {
			return prefix.String() + "#" + strconv.FormatInt(c.turn.Add(1)%int64(c.counts[i]), 10)
		}
	}
	if address.Is6() {
		// Who has one address of a /64 has them all.
		if network, err := address.Prefix(64); err == nil {
			return network.String()
		}
	}
	return address.String()
}

// statusClientClosedRequest is what Traefik itself writes to its log for a client that has left.
const statusClientClosedRequest = 499

// left answers a stream that was reset before its turn came. To ask the service all the same would cost a connection to it,
// which ends with the request: in a loop, that takes more of the host than all else.
func left(rw http.ResponseWriter, req *http.Request) bool {
	if req.Context().Err() == nil {
		return false
	}
	// Over HTTP/2 that is a GOAWAY: what flows on this connection goes on, and it can carry no further request. Who resets
	// streams in a loop has up to 160 of them waiting on each connection, before everybody else's.
	rw.Header().Set("Connection", "close")
	rw.WriteHeader(statusClientClosedRequest)
	return true
}

type limits struct {
	next   http.Handler
	config *Config
	gap    time.Duration
	// refused is nil where every path passes.
	refused *regexp.Regexp
	// own is nil where every header passes.
	own *regexp.Regexp
}

func (l *limits) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	if left(rw, req) {
		return
	}
	req.Header.Del(clientHeader)
	if l.refused != nil && (!strings.HasPrefix(req.URL.Path, "/") || l.refused.MatchString(req.URL.EscapedPath())) {
		l.tell(req, "400: its path could mean another to the service: an encoded slash, dot segment or the like")
		answer(rw, http.StatusBadRequest)
		linger(rw, req)
		return
	}
	if l.config.FromClient {
		for _, name := range overrides {
			req.Header.Del(name)
		}
		if l.own != nil {
			for name := range req.Header {
				if l.own.MatchString(name) {
					delete(req.Header, name)
				}
			}
		}
		// A proxy before the edge hands on what a client says in it.
		req.Header.Set("X-Forwarded-Host", req.Host)
	}
	if req.ContentLength > l.config.MaxBodyBytes {
		l.tell(req, fmt.Sprintf("413: its length is %d bytes, more than maxBodyMb", req.ContentLength))
		// Nothing of the body is read, so this connection can carry no further request.
		rw.Header().Set("Connection", "close")
		answer(rw, http.StatusRequestEntityTooLarge)
		linger(rw, req)
		return
	}
	b := &body{ended: true}
	asked := req
	if req.ContentLength != 0 && req.Body != nil {
		b = &body{source: req.Body, rw: rw, left: l.config.MaxBodyBytes, limits: l, req: req, control: readDeadline(rw)}
		b.extend()
		// Another request, as the interpreter would take the body that is set here for the one that was read above.
		req = req.WithContext(req.Context())
		req.Body = b
	}
	began := time.Now()
	l.next.ServeHTTP(rw, req)
	if !b.ended && b.left >= 0 {
		// The service has answered before it had all of it, such as with a 413 of its own.
		linger(rw, asked)
	}
	waited := time.Duration(l.config.ResponseTimeoutSeconds) * time.Second
	if !b.told && waited > 0 && time.Since(began) >= waited && statusOf(rw) == http.StatusGatewayTimeout {
		l.tell(req, fmt.Sprintf("504: no answer in responseTimeoutSeconds (%d)", l.config.ResponseTimeoutSeconds))
	}
}

// overrides are headers in which some frameworks look for the path, the prefix or the host of a request.
var overrides = []string{"X-Original-Url", "X-Rewrite-Url", "X-Original-Uri", "X-Original-Host", "X-Forwarded-Prefix",
	"X-Forwarded-Path", "X-Forwarded-Uri", "X-Forwarded-Server", "X-Host", "Forwarded"}

// body counts what passes, and gives the client time for as long as something comes.
type body struct {
	source  io.ReadCloser
	rw      http.ResponseWriter
	left    int64
	limits  *limits
	req     *http.Request
	control *http.ResponseController
	told    bool
	// ended says that there is nothing more to come.
	ended bool
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.source.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		if statusOf(b.rw) != 0 {
			// The service has answered already, such as with a 413 of its own: an error would end its connection, and with
			// it the answer that is on its way.
			b.extend()
			discard(b.source, p, func() { b.extend() })
			return 0, context.Canceled
		}
		b.tell("413: a body without a length grew beyond maxBodyMb, and was cut")
		// The one error that Traefik has a status of its own for, which the route turns into 413.
		return 0, context.Canceled
	}
	if err == nil {
		b.extend()
	} else if err == io.EOF {
		b.ended = true
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		b.tell("cut: nothing of the body came for " + strconv.Itoa(b.limits.config.BodyGapSeconds) + " s")
	}
	return n, err
}

// Close leaves it open, for linger. The server closes it when the request is over.
func (b *body) Close() error {
	return nil
}

func (b *body) extend() {
	if b.control != nil {
		_ = b.control.SetReadDeadline(time.Now().Add(b.limits.gap))
	}
}

func (b *body) tell(what string) {
	if !b.told {
		b.told = true
		b.limits.tell(b.req, what)
	}
}

// tell writes what was cut by which limit, in the form of Traefik's log. A query or a header may be a secret, a path is not.
func (l *limits) tell(req *http.Request, what string) {
	write(map[string]string{
		"msg":     what,
		"service": l.config.Service,
		"client":  req.RemoteAddr,
		"method":  req.Method,
		"path":    req.URL.Path,
	})
}

func write(fields map[string]string) {
	fields["level"] = "warn"
	fields["time"] = time.Now().UTC().Format(time.RFC3339)
	if line, err := json.Marshal(fields); err == nil {
		_, _ = os.Stderr.Write(append(line, '\n'))
	}
}

func answer(rw http.ResponseWriter, status int) {
	text := http.StatusText(status) + "\n"
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	rw.Header().Set("Content-Length", strconv.Itoa(len(text)))
	rw.WriteHeader(status)
	_, _ = rw.Write([]byte(text))
}

func readPage(file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	return os.ReadFile(file)
}

// answerPage gives the page to who takes HTML, and a word to all others. It carries its styles and pictures in itself.
func answerPage(rw http.ResponseWriter, req *http.Request, status int, page []byte) {
	if page == nil || !strings.Contains(req.Header.Get("Accept"), "text/html") {
		answer(rw, status)
		return
	}
	header := rw.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; "+
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Length", strconv.Itoa(len(page)))
	rw.WriteHeader(status)
	_, _ = rw.Write(page)
}

// newPages answers the edge itself, which asks for the page of a status.
func newPages(config *Config) (http.Handler, error) {
	pages := map[string][]byte{}
	for status, file := range config.Pages {
		page, err := readPage(file)
		if err != nil {
			return nil, err
		}
		pages[status] = page
	}
	return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		asked := req.URL.Path[strings.LastIndex(req.URL.Path, "/")+1:]
		status, err := strconv.Atoi(asked)
		if err != nil || status < 400 || status > 599 {
			status = http.StatusNotFound
		}
		answerPage(rw, req, status, pages[asked])
	}), nil
}

type maintenance struct {
	next   http.Handler
	config *Config
	page   []byte
	allow  []netip.Prefix
}

func newMaintenance(next http.Handler, config *Config) (http.Handler, error) {
	page, err := readPage(config.Page)
	if err != nil {
		return nil, err
	}
	m := &maintenance{next: next, config: config, page: page}
	for _, text := range config.AllowFrom {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, err
		}
		m.allow = append(m.allow, prefix)
	}
	return m, nil
}

func (m *maintenance) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	// http:// answers redirects, and goes on doing so.
	if req.TLS == nil || m.passes(req) {
		m.next.ServeHTTP(rw, req)
		return
	}
	rw.Header().Set("Retry-After", strconv.Itoa(m.config.RetryAfterSeconds))
	answerPage(rw, req, http.StatusServiceUnavailable, m.page)
	linger(rw, req)
}

func (m *maintenance) passes(req *http.Request) bool {
	if address, err := netip.ParseAddr(addressOf(req, m.config.Forwarded)); err == nil {
		for _, prefix := range m.allow {
			if prefix.Contains(address.Unmap().WithZone("")) {
				return true
			}
		}
	}
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		return false
	}
	host := req.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	asked := strings.ToLower(strings.TrimSuffix(host, ".")) + req.URL.EscapedPath()
	for _, health := range m.config.Health {
		if asked == health {
			return true
		}
	}
	return false
}

// redirect sends a client to the same path and query of another host by https. The host is the edge's own word, or one that
// the route has looked at; what follows it begins with a slash, so that nothing of a request is part of it.
func redirect(rw http.ResponseWriter, req *http.Request, config *Config) {
	host := config.To
	if host == "" {
		host = req.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
	}
	path := req.URL.RequestURI()
	if !strings.HasPrefix(path, "/") {
		path = "/"
	}
	rw.Header().Set("Location", "https://"+strings.ToLower(host)+config.Port+path)
	answer(rw, http.StatusPermanentRedirect)
}

type lingering struct {
	next http.Handler
}

func (l *lingering) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	l.next.ServeHTTP(rw, req)
	if statusOf(rw) == http.StatusRequestEntityTooLarge {
		linger(rw, req)
	}
}

// lingerFor is how long a client that was answered may go on with a body that nobody wants. nginx gives 30 s.
const lingerFor = 10 * time.Second

// linger lets a client come to read its answer: a connection that ends while it still sends is reset, and what it has not
// read by then is lost to it. Streams of HTTP/2 end each by itself.
func linger(rw http.ResponseWriter, req *http.Request) {
	if req.ProtoMajor != 1 || req.Body == nil {
		return
	}
	flush(rw)
	if control := readDeadline(rw); control != nil {
		_ = control.SetReadDeadline(time.Now().Add(lingerFor))
	}
	discard(req.Body, make([]byte, 32*1024), func() {})
}

// discard reads what nobody wants to its end, and says each time that some of it came.
func discard(source io.Reader, into []byte, came func()) {
	for {
		if _, err := source.Read(into); err != nil {
			return
		}
		came()
	}
}

// readDeadline is of the connection or, over HTTP/2, of the stream. Traefik's own writers hide it, each in the one that
// it wraps.
func readDeadline(rw http.ResponseWriter) *http.ResponseController {
	for inner := rw; inner != nil; inner = wrapped(inner) {
		control := http.NewResponseController(inner)
		if control.SetReadDeadline(time.Now().Add(time.Minute)) == nil {
			return control
		}
	}
	return nil
}

func flush(rw http.ResponseWriter) {
	if flusher, ok := rw.(http.Flusher); ok {
		flusher.Flush()
	}
}

// cut ends the connection of a client, with all that it has on it.
func cut(rw http.ResponseWriter) {
	inner := rw
	for next := wrapped(inner); next != nil; next = wrapped(next) {
		inner = next
	}
	if conn := connectionIn(reflect.ValueOf(inner)); conn != nil {
		_ = conn.Close()
	}
}

// connectionIn is the connection of Go's own writers: over HTTP/2 it stands two steps further.
func connectionIn(value reflect.Value) net.Conn {
	for _, name := range []string{"rws", "conn", "conn", "rwc"} {
		if value.Kind() == reflect.Interface {
			break
		}
		if value.Kind() != reflect.Ptr || value.Elem().Kind() != reflect.Struct {
			return nil
		}
		if field := value.Elem().FieldByName(name); field.IsValid() {
			value = reflect.NewAt(field.Type(), field.Addr().UnsafePointer()).Elem()
		}
	}
	conn, _ := value.Interface().(net.Conn)
	return conn
}

// statusOf is what the first of Traefik's writers that notes it has noted.
func statusOf(rw http.ResponseWriter) int {
	for inner := rw; inner != nil; inner = wrapped(inner) {
		if fields := structOf(inner); fields.IsValid() {
			if status := fields.FieldByName("status"); status.IsValid() && status.Kind() == reflect.Int {
				return int(status.Int())
			}
		}
	}
	return 0
}

var writer = reflect.TypeOf((*http.ResponseWriter)(nil)).Elem()

func wrapped(rw http.ResponseWriter) http.ResponseWriter {
	return writerIn(structOf(rw))
}

// writerIn is the writer that a struct, or one that is embedded in it, has.
func writerIn(fields reflect.Value) http.ResponseWriter {
	if !fields.IsValid() {
		return nil
	}
	for i := 0; i < fields.NumField(); i++ {
		field := fields.Field(i)
		if !field.CanAddr() || field.Kind() != reflect.Interface && field.Kind() != reflect.Ptr || field.IsNil() {
			continue
		}
		// Not exported: by its address it can be read all the same.
		if value := reflect.NewAt(field.Type(), field.Addr().UnsafePointer()).Elem(); field.Type() == writer {
			return value.Interface().(http.ResponseWriter)
		} else if fields.Type().Field(i).Anonymous && field.Kind() == reflect.Ptr && value.Elem().Kind() == reflect.Struct {
			if found := writerIn(value.Elem()); found != nil {
				return found
			}
		}
	}
	return nil
}

func structOf(rw http.ResponseWriter) reflect.Value {
	value := reflect.ValueOf(rw)
	if value.Kind() == reflect.Ptr {
		value = value.Elem()
	}
	if value.Kind() != reflect.Struct {
		return reflect.Value{}
	}
	return value
}
