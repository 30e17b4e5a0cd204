// Command edge stands in for Cloudflare's edge in tests: connectors (cloudflared itself) register with it by the real
// protocol, HTTP/2 with the parts reversed, and it hands clients' requests on to them. What it knows of tunnels and names it
// asks the emulator of the API. Clients speak plain HTTP to it, and are told apart by the address that they come from.
package main

import (
	"bytes"
	"context"
	"crypto/subtle"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/cloudflare/cloudflared/connection"
	"github.com/cloudflare/cloudflared/tunnelrpc"
	"github.com/cloudflare/cloudflared/tunnelrpc/pogs"
	"github.com/google/uuid"
	"golang.org/x/net/http2"
)

// settings come as JSON on standard input; the edge ends when that does.
type settings struct {
	// Addresses to listen on: for connectors, and for clients.
	Connectors, Clients string
	// Of the server that connectors take this for, PEM.
	Certificate, PrivateKey string
	// The emulator of the API, and what opens it.
	API, APIToken, Account, Zone string
}

func main() {
	input := json.NewDecoder(os.Stdin)
	var given settings
	if err := input.Decode(&given); err != nil {
		log.Fatal(err)
	}
	certificate, err := tls.X509KeyPair([]byte(given.Certificate), []byte(given.PrivateKey))
	if err != nil {
		log.Fatal(err)
	}
	connectors, err := tls.Listen("tcp", given.Connectors, &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		log.Fatal(err)
	}
	clients, err := net.Listen("tcp", given.Clients)
	if err != nil {
		log.Fatal(err)
	}
	e := &edge{settings: given}
	go func() { log.Fatal(http.Serve(clients, e)) }()
	go e.acceptConnectors(connectors)
	fmt.Println(`{"ready":true}`)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

type edge struct {
	settings
	mutex      sync.Mutex
	connectors []*connector
}

// A connector is one connection of a cloudflared.
type connector struct {
	edge          *edge
	http2         *http2.ClientConn
	tunnel        string
	configVersion int32
}

func (e *edge) acceptConnectors(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go e.welcome(conn)
	}
}

// welcome asks for the stream on which the connector registers, and serves it until it ends.
func (e *edge) welcome(conn net.Conn) {
	defer conn.Close()
	session, err := (&http2.Transport{}).NewClientConn(conn)
	if err != nil {
		return
	}
	c := &connector{edge: e, http2: session, configVersion: -1}
	fromHere, toThere := io.Pipe()
	request, _ := http.NewRequest(http.MethodPost, "https://edge/", fromHere)
	request.Header.Set(connection.InternalUpgradeHeader, connection.ControlStreamUpgrade)
	response, err := session.RoundTrip(request)
	if err != nil {
		return
	}
	stream := struct {
		io.Reader
		io.WriteCloser
	}{response.Body, toThere}
	_ = tunnelrpc.NewRegistrationServer(c).Serve(context.Background(), stream)
	e.remove(c)
	// What it is still answering may end.
	wait, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_ = session.Shutdown(wait)
}

func (c *connector) RegisterConnection(
	_ context.Context, auth pogs.TunnelAuth, tunnel uuid.UUID, _ byte, _ *pogs.ConnectionOptions,
) (*pogs.ConnectionDetails, error) {
	var token string
	path := fmt.Sprintf("/accounts/%s/cfd_tunnel/%s", c.edge.Account, tunnel)
	if err := c.edge.ask(path+"/token", &token); err != nil {
		return nil, err
	}
	decoded, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		return nil, err
	}
	var known connection.TunnelToken
	if err := json.Unmarshal(decoded, &known); err != nil {
		return nil, err
	}
	if known.AccountTag != auth.AccountTag || subtle.ConstantTimeCompare(known.TunnelSecret, auth.TunnelSecret) != 1 {
		return nil, errors.New("Unauthorized: Invalid tunnel secret")
	}
	c.tunnel = tunnel.String()
	c.edge.mutex.Lock()
	c.edge.connectors = append(c.edge.connectors, c)
	c.edge.tell(c.tunnel)
	c.edge.mutex.Unlock()
	// A stream within the one that registers would wait for it.
	go func() { _ = c.configure() }()
	return &pogs.ConnectionDetails{UUID: uuid.New(), Location: "test", TunnelIsRemotelyManaged: true}, nil
}

// UnregisterConnection says that it gets no new request.
func (c *connector) UnregisterConnection(context.Context) { c.edge.remove(c) }

func (c *connector) UpdateLocalConfiguration(context.Context, []byte) error { return nil }

func (e *edge) remove(gone *connector) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	for index, c := range e.connectors {
		if c == gone {
			e.connectors = append(e.connectors[:index:index], e.connectors[index+1:]...)
			e.tell(gone.tunnel)
			return
		}
	}
}

// tell prints how many connections a tunnel has.
func (e *edge) tell(tunnel string) {
	count := 0
	for _, c := range e.connectors {
		if c.tunnel == tunnel {
			count++
		}
	}
	fmt.Printf(`{"tunnel":%q,"connections":%d}`+"\n", tunnel, count)
}

// configure hands the tunnel's configuration to the connector, unless it has that one.
func (c *connector) configure() error {
	var current struct {
		Version int32           `json:"version"`
		Config  json.RawMessage `json:"config"`
	}
	path := fmt.Sprintf("/accounts/%s/cfd_tunnel/%s/configurations", c.edge.Account, c.tunnel)
	if err := c.edge.ask(path, &current); err != nil {
		return err
	}
	c.edge.mutex.Lock()
	known := c.configVersion
	c.edge.mutex.Unlock()
	if known == current.Version {
		return nil
	}
	body, _ := json.Marshal(current)
	request, _ := http.NewRequest(http.MethodPost, "https://edge/", bytes.NewReader(body))
	request.Header.Set(connection.InternalUpgradeHeader, connection.ConfigurationUpdate)
	response, err := c.http2.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var result struct {
		LastAppliedVersion int32
		Err                any
	}
	if err := json.NewDecoder(response.Body).Decode(&result); err != nil {
		return err
	}
	if result.Err != nil {
		return fmt.Errorf("the connector refuses its configuration: %v", result.Err)
	}
	c.edge.mutex.Lock()
	c.configVersion = current.Version
	c.edge.mutex.Unlock()
	return nil
}

// ServeHTTP answers a client as a proxied name would: by the tunnel that its record leads to.
func (e *edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		name = r.Host
	}
	c, err := e.connectorFor(name)
	if err == nil {
		err = c.configure()
	}
	if err != nil {
		http.Error(w, "error code: 1033: "+err.Error(), 530)
		return
	}
	client, _, _ := net.SplitHostPort(r.RemoteAddr)
	out, _ := http.NewRequestWithContext(r.Context(), r.Method, "https://"+name+r.URL.RequestURI(), r.Body)
	out.ContentLength = r.ContentLength
	out.Header = r.Header.Clone()
	for _, hop := range []string{"Connection", "Keep-Alive", "Te", "Transfer-Encoding", "Upgrade"} {
		out.Header.Del(hop)
	}
	// What a client says of itself stays before what is known of it; in the other header it is put in its place.
	out.Header.Set("X-Forwarded-For", strings.Join(append(r.Header.Values("X-Forwarded-For"), client), ", "))
	out.Header.Set("Cf-Connecting-Ip", client)
	out.Header.Set("X-Forwarded-Proto", "https")
	out.Header.Set("Cf-Ray", fmt.Sprintf("%016x-TST", time.Now().UnixNano()))
	response, err := c.http2.RoundTrip(out)
	if err != nil {
		http.Error(w, "error code: 502: "+err.Error(), http.StatusBadGateway)
		return
	}
	defer response.Body.Close()
	if headers, err := connection.DeserializeHeaders(response.Header.Get(connection.CanonicalResponseUserHeaders)); err == nil {
		for _, header := range headers {
			w.Header().Add(header.Name, header.Value)
		}
	}
	w.WriteHeader(response.StatusCode)
	flusher := http.NewResponseController(w)
	buffer := make([]byte, 32*1024)
	for {
		count, err := response.Body.Read(buffer)
		if count > 0 {
			_, _ = w.Write(buffer[:count])
			_ = flusher.Flush()
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			// The client sees an answer that was cut, and not one that ended.
			panic(http.ErrAbortHandler)
		}
	}
}

// connectorFor follows the name's record to the newest connection of its tunnel.
func (e *edge) connectorFor(name string) (*connector, error) {
	var records []struct {
		Type    string `json:"type"`
		Content string `json:"content"`
		Proxied bool   `json:"proxied"`
	}
	if err := e.ask("/zones/"+e.Zone+"/dns_records?name.exact="+url.QueryEscape(name), &records); err != nil {
		return nil, err
	}
	if len(records) != 1 || records[0].Type != "CNAME" || !records[0].Proxied {
		return nil, fmt.Errorf("%s has no proxied record that leads to a tunnel", name)
	}
	tunnel := strings.TrimSuffix(records[0].Content, ".cfargotunnel.com")
	e.mutex.Lock()
	defer e.mutex.Unlock()
	for index := len(e.connectors) - 1; index >= 0; index-- {
		if e.connectors[index].tunnel == tunnel {
			return e.connectors[index], nil
		}
	}
	return nil, fmt.Errorf("the tunnel of %s has no connection", name)
}

func (e *edge) ask(path string, result any) error {
	request, _ := http.NewRequest(http.MethodGet, e.API+path, nil)
	request.Header.Set("Authorization", "Bearer "+e.APIToken)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, response.Status)
	}
	return json.NewDecoder(response.Body).Decode(&struct{ Result any }{result})
}
