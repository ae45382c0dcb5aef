/*
 * A stand-in for WeCom's finance library, with the vendor's C interface.
 *
 * It sends plain HTTP/1.1 requests, in absolute form, to a simulated WeCom. The
 * requests go through the proxy argument, else through the proxy in
 * https_proxy. Without a proxy a call returns 10001. seal.go in the folder above
 * describes how messages are sealed. A plaintext, the errmsg of a page, or the
 * header X-Marker of a media answer may contain a marker that makes the library
 * misbehave: see misbehave().
 *
 * Compile-time switches:
 *   INIT_CHECKS_SECRET   Init requests a token. It returns 10000 if WeCom
 *                        refuses, and 10001 if WeCom is unreachable. Without the
 *                        switch the first call that needs a token requests it.
 *   LEAKY                every DecryptData leaks 64 KiB
 *   OMIT_<function>      omits the function
 *
 * It uses only libc and the kernel's headers. A handle belongs to one thread at
 * a time; several threads may use different handles.
 */
#define _GNU_SOURCE

#include "WeWorkFinanceSdk_C.h"
#include "hostile.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	OK = 0,
	BAD_ARGUMENT = 10000,
	NETWORK = 10001,
	UNPARSABLE = 10002,
	SYSTEM_CALL = 10003,
	BAD_FILEID = 10005,
	DECRYPTION = 10006,
	BAD_KEY = 10008,
	BAD_ADDRESS = 10009,
	EXPIRED = 10010,
	TRIED = 20000, /* plus the errno of a hostile attempt, see hostile.h */
};

#define BODY_LIMIT (64u << 20)
#define HEAD_LIMIT (64u << 10)
#define CHUNK_LIMIT 524288u
#define HOST "qyapi.weixin.qq.com"

/* ---- growing byte strings, always NUL-terminated ------------------------ */

struct buf {
	char *p;
	size_t len, cap;
	int failed; /* out of memory: the contents are incomplete */
};

static void buf_add(struct buf *b, const char *p, size_t n)
{
	if (b->failed || n == 0)
		return;
	if (b->len + n + 1 > b->cap) {
		size_t cap = b->cap ? b->cap : 512;
		while (cap < b->len + n + 1)
			cap *= 2;
		char *grown = realloc(b->p, cap);
		if (!grown) {
			b->failed = 1;
			return;
		}
		b->p = grown;
		b->cap = cap;
	}
	memcpy(b->p + b->len, p, n);
	b->len += n;
	b->p[b->len] = 0;
}

static void buf_text(struct buf *b, const char *s) { buf_add(b, s, strlen(s)); }

static void buf_free(struct buf *b)
{
	free(b->p);
	*b = (struct buf){0};
}

/* Percent-encodes everything that is not unreserved. */
static void buf_percent(struct buf *b, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		char hex[4];
		if (c < 128 && (isalnum(c) || strchr("-._~", c))) {
			buf_add(b, s, 1);
		} else {
			snprintf(hex, sizeof hex, "%%%02X", c);
			buf_add(b, hex, 3);
		}
	}
}

/* Adds s as a JSON string with its quotes. */
static void buf_json(struct buf *b, const char *s)
{
	buf_text(b, "\"");
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		char esc[8];
		if (c == '"' || c == '\\' || c < 0x20) {
			snprintf(esc, sizeof esc, "\\u%04x", c);
			buf_text(b, esc);
		} else {
			buf_add(b, s, 1);
		}
	}
	buf_text(b, "\"");
}

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void buf_base64(struct buf *b, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i += 3) {
		uint32_t v = 0;
		char out[4];
		for (size_t j = 0; j < 3; j++)
			v = v << 8 | (i + j < n ? (unsigned char)s[i + j] : 0);
		for (int j = 0; j < 4; j++)
			out[j] = base64_digits[v >> (18 - 6 * j) & 63];
		if (i + 2 >= n)
			out[3] = '=';
		if (i + 1 >= n)
			out[2] = '=';
		buf_add(b, out, 4);
	}
}

/* Decodes n characters of padded base64 into out, which has room for n/4*3
 * bytes. Returns the number of bytes, or -1 if s is not padded base64. */
static long base64_decode(const char *s, size_t n, unsigned char *out)
{
	static signed char value[256];
	static atomic_int ready;
	if (!atomic_load(&ready)) { /* two threads would write the same */
		signed char made[256];
		memset(made, -1, sizeof made);
		for (int i = 0; i < 64; i++)
			made[(unsigned char)base64_digits[i]] = (signed char)i;
		memcpy(value, made, sizeof value);
		atomic_store(&ready, 1);
	}
	if (n % 4)
		return -1;
	size_t pad = 0;
	while (pad < 2 && pad < n && s[n - 1 - pad] == '=')
		pad++;
	long len = 0;
	for (size_t i = 0; i < n; i += 4) {
		uint32_t v = 0;
		for (size_t j = 0; j < 4; j++) {
			int d = i + j >= n - pad ? 0 : value[(unsigned char)s[i + j]];
			if (d < 0)
				return -1;
			v = v << 6 | (uint32_t)d;
		}
		for (int j = 0; j < 3; j++)
			out[len++] = (unsigned char)(v >> (16 - 8 * j));
	}
	return len - (long)pad;
}

/* ---- the part of JSON that the answers need ----------------------------- */

static const char *json_space(const char *p, const char *end)
{
	while (p < end && strchr(" \t\r\n", *p) && *p)
		p++;
	return p;
}

/* Returns the position after the string that begins at p, or NULL. */
static const char *json_string(const char *p, const char *end)
{
	if (p >= end || *p != '"')
		return NULL;
	for (p++; p < end; p++) {
		if (*p == '\\')
			p++;
		else if (*p == '"')
			return p + 1;
	}
	return NULL;
}

/* Returns the position after the value that begins at p, or NULL. Brackets must
 * pair. Numbers and words are not checked. */
static const char *json_value(const char *p, const char *end)
{
	char open[256];
	int depth = 0;
	do {
		p = json_space(p, end);
		if (p >= end)
			return NULL;
		if (*p == '"') {
			if (!(p = json_string(p, end)))
				return NULL;
		} else if (*p == '{' || *p == '[') {
			if (depth == sizeof open)
				return NULL;
			open[depth++] = *p++;
		} else if (*p == '}' || *p == ']') {
			if (depth == 0 || open[--depth] != (*p == '}' ? '{' : '['))
				return NULL;
			p++;
		} else if (depth > 0 && (*p == ',' || *p == ':')) {
			p++;
		} else {
			const char *from = p;
			while (p < end && (isalnum((unsigned char)*p) || strchr("+-.", *p)) && *p)
				p++;
			if (p == from)
				return NULL;
		}
	} while (depth > 0);
	return p;
}

/* Finds the value of a key in the object text. Returns 1 if it is there, from
 * *at to *after; 0 if it is absent; -1 if text is not a JSON object. */
static int json_member(const char *text, size_t len, const char *key, const char **at, const char **after)
{
	const char *end = text + len, *p = json_space(text, end), *k, *kend;
	int found = 0;
	if (p >= end || *p != '{')
		return -1;
	p = json_space(p + 1, end);
	if (p < end && *p == '}')
		return json_space(p + 1, end) == end ? 0 : -1;
	for (;;) {
		k = json_space(p, end);
		if (!(kend = json_string(k, end)))
			return -1;
		p = json_space(kend, end);
		if (p >= end || *p != ':')
			return -1;
		const char *value = json_space(p + 1, end);
		if (!(p = json_value(value, end)))
			return -1;
		if (!found && (size_t)(kend - k) == strlen(key) + 2 && !memcmp(k + 1, key, strlen(key))) {
			*at = value;
			*after = p;
			found = 1;
		}
		p = json_space(p, end);
		if (p < end && *p == ',') {
			p++;
			continue;
		}
		if (p < end && *p == '}' && json_space(p + 1, end) == end)
			return found;
		return -1;
	}
}

/* Reads a number of the object text. If the key is missing, *out is absent.
 * Returns 0 if text is not a JSON object. */
static int json_number(const char *text, size_t len, const char *key, long absent, long *out)
{
	const char *at, *after;
	int found = json_member(text, len, key, &at, &after);
	*out = found > 0 ? strtol(at, NULL, 10) : absent;
	return found >= 0;
}

/* ---- HTTP --------------------------------------------------------------- */

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Waits for fd. Returns 1 if it is ready, 0 after the deadline. */
static int wait_for(int fd, short events, int64_t deadline)
{
	for (;;) {
		struct pollfd p = {.fd = fd, .events = events};
		int64_t left = deadline - now_ms();
		if (left <= 0)
			return 0;
		int n = poll(&p, 1, left > INT_MAX ? INT_MAX : (int)left);
		if (n > 0)
			return 1;
		if (n < 0 && errno != EINTR)
			return 0;
	}
}

static int dial(const char *host, const char *port, int64_t deadline)
{
	struct addrinfo hint = {.ai_socktype = SOCK_STREAM}, *all, *a;
	if (getaddrinfo(host, port, &hint, &all))
		return -1;
	int fd = -1;
	for (a = all; a && fd < 0; a = a->ai_next) {
		fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (fd < 0)
			continue;
		int bad = 0;
		socklen_t size = sizeof bad;
		if (connect(fd, a->ai_addr, a->ai_addrlen) &&
		    (errno != EINPROGRESS || !wait_for(fd, POLLOUT, deadline) ||
		     getsockopt(fd, SOL_SOCKET, SO_ERROR, &bad, &size) || bad)) {
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(all);
	return fd;
}

static int send_all(int fd, const char *p, size_t n, int64_t deadline)
{
	while (n > 0) {
		ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
		if (sent >= 0) {
			p += sent;
			n -= (size_t)sent;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			if (!wait_for(fd, POLLOUT, deadline))
				return 0;
		} else if (errno != EINTR) {
			return 0;
		}
	}
	return 1;
}

/* Receives more bytes into b. Returns 1; 0 at the end; -1 after an error or the
 * deadline. */
static int receive(int fd, struct buf *b, int64_t deadline)
{
	char block[65536];
	for (;;) {
		ssize_t n = recv(fd, block, sizeof block, 0);
		if (n > 0) {
			buf_add(b, block, (size_t)n);
			return b->failed ? -1 : 1;
		}
		if (n == 0)
			return 0;
		if (errno == EAGAIN || errno == EWOULDBLOCK) {
			if (!wait_for(fd, POLLIN, deadline))
				return -1;
		} else if (errno != EINTR) {
			return -1;
		}
	}
}

struct answer {
	int status;
	struct buf head; /* status line and headers, without the empty line */
	struct buf body;
};

static void answer_free(struct answer *a)
{
	buf_free(&a->head);
	buf_free(&a->body);
}

/* Copies a header's value into out, cut at size. Returns 0 if it is absent. */
static int header(const struct answer *a, const char *name, char *out, size_t size)
{
	size_t n = strlen(name);
	for (const char *p = strstr(a->head.p, "\r\n"); p; p = strstr(p, "\r\n")) {
		p += 2;
		if (strncasecmp(p, name, n) || p[n] != ':')
			continue;
		const char *v = p + n + 1, *end = strstr(v, "\r\n");
		if (!end)
			end = v + strlen(v);
		while (v < end && (*v == ' ' || *v == '\t'))
			v++;
		while (end > v && (end[-1] == ' ' || end[-1] == '\t'))
			end--;
		snprintf(out, size, "%.*s", (int)(end - v), v);
		return 1;
	}
	return 0;
}

/* Reads until raw holds n bytes. */
static int receive_upto(int fd, struct buf *raw, size_t n, int64_t deadline)
{
	while (raw->len < n) {
		int got = receive(fd, raw, deadline);
		if (got <= 0)
			return NETWORK;
	}
	return OK;
}

static int receive_chunked(int fd, struct buf *raw, struct buf *body, int64_t deadline)
{
	size_t at = 0;
	for (;;) {
		char *line_end;
		while (!raw->p || !(line_end = memchr(raw->p + at, '\n', raw->len - at))) {
			if (raw->len - at > 1024)
				return UNPARSABLE;
			if (receive(fd, raw, deadline) <= 0)
				return NETWORK;
		}
		char *digits_end;
		unsigned long n = strtoul(raw->p + at, &digits_end, 16);
		if (digits_end == raw->p + at || n > BODY_LIMIT - body->len)
			return UNPARSABLE;
		at = (size_t)(line_end + 1 - raw->p);
		if (n == 0)
			return OK; /* trailers are ignored: the connection closes */
		int code = receive_upto(fd, raw, at + n + 2, deadline);
		if (code)
			return code;
		if (memcmp(raw->p + at + n, "\r\n", 2))
			return UNPARSABLE;
		buf_add(body, raw->p + at, n);
		at += n + 2;
		/* raw drops each finished chunk, so it holds one chunk at a time. */
		memmove(raw->p, raw->p + at, raw->len - at);
		raw->len -= at;
		at = 0;
	}
}

static int receive_answer(int fd, struct answer *a, int64_t deadline)
{
	struct buf raw = {0};
	char value[64], *head_end = NULL;
	int code = OK;
	while (!raw.p || !(head_end = strstr(raw.p, "\r\n\r\n"))) {
		if (raw.len > HEAD_LIMIT || (raw.p && strlen(raw.p) < raw.len)) {
			code = UNPARSABLE;
			goto out;
		}
		if (receive(fd, &raw, deadline) <= 0) {
			code = NETWORK;
			goto out;
		}
	}
	buf_add(&a->head, raw.p, (size_t)(head_end - raw.p));
	size_t taken = (size_t)(head_end + 4 - raw.p);
	memmove(raw.p, raw.p + taken, raw.len - taken + 1);
	raw.len -= taken;
	if (a->head.failed || sscanf(a->head.p, "HTTP/1.%*1[01] %3d", &a->status) != 1) {
		code = UNPARSABLE;
	} else if (header(a, "Transfer-Encoding", value, sizeof value) && !strcasecmp(value, "chunked")) {
		code = receive_chunked(fd, &raw, &a->body, deadline);
	} else if (header(a, "Content-Length", value, sizeof value)) {
		char *end;
		unsigned long n = strtoul(value, &end, 10);
		if (end == value || *end || n > BODY_LIMIT) {
			code = UNPARSABLE;
		} else if (!(code = receive_upto(fd, &raw, n, deadline))) {
			buf_add(&a->body, raw.p, n);
		}
	} else { /* the body ends with the connection */
		int got = 1;
		while (got > 0 && raw.len <= BODY_LIMIT)
			got = receive(fd, &raw, deadline);
		if (got < 0)
			code = NETWORK;
		else if (raw.len > BODY_LIMIT)
			code = UNPARSABLE;
		else
			buf_add(&a->body, raw.p, raw.len);
	}
	if (a->body.failed)
		code = SYSTEM_CALL;
out:
	buf_free(&raw);
	return code;
}

struct proxy {
	char host[256], port[8];
	struct buf credentials; /* user:password, or empty */
};

static void percent_decoded(struct buf *b, const char *p, const char *end)
{
	while (p < end) {
		char hex[3] = {0}, c = *p;
		if (c == '%' && end - p > 2 && isxdigit((unsigned char)p[1]) && isxdigit((unsigned char)p[2])) {
			memcpy(hex, p + 1, 2);
			c = (char)strtol(hex, NULL, 16);
			p += 2;
		}
		buf_add(b, &c, 1);
		p++;
	}
}

/* Parses [http://][user[:password]@]host:port[/]. */
static int parse_proxy(const char *url, const char *passwd, struct proxy *out)
{
	if (!strncasecmp(url, "http://", 7))
		url += 7;
	else if (strstr(url, "://"))
		return 0;
	const char *end = url + strcspn(url, "/"), *at = end;
	while (at > url && *at != '@')
		at--;
	if (passwd && *passwd)
		buf_text(&out->credentials, passwd);
	else if (at > url)
		percent_decoded(&out->credentials, url, at);
	const char *host = at > url ? at + 1 : url, *colon = end;
	while (colon > host && *colon != ':')
		colon--;
	size_t host_len = (size_t)(colon - host), port_len = (size_t)(end - colon);
	if (host_len == 0 || host_len >= sizeof out->host || port_len < 2 || port_len > 6)
		return 0;
	if (*host == '[' && colon[-1] == ']') { /* an IPv6 address */
		host++;
		host_len -= 2;
	}
	memcpy(out->host, host, host_len);
	memcpy(out->port, colon + 1, port_len - 1);
	return 1;
}

/* Sends one request on its own connection and receives the answer. Without a
 * body the request is a GET. After OK the answer has the status 200. */
static int ask(const char *proxy_url, const char *passwd, int timeout, const char *path, const struct buf *body,
	       struct answer *out)
{
	if (!proxy_url || !*proxy_url)
		proxy_url = getenv("https_proxy");
	struct proxy proxy = {0};
	if (!proxy_url || !parse_proxy(proxy_url, passwd, &proxy)) {
		buf_free(&proxy.credentials);
		return NETWORK;
	}
	struct buf req = {0};
	char length[32];
	buf_text(&req, body ? "POST" : "GET");
	buf_text(&req, " http://" HOST);
	buf_text(&req, path);
	buf_text(&req, " HTTP/1.1\r\nHost: " HOST "\r\nConnection: close\r\n");
	if (proxy.credentials.len) {
		buf_text(&req, "Proxy-Authorization: Basic ");
		buf_base64(&req, proxy.credentials.p, proxy.credentials.len);
		buf_text(&req, "\r\n");
	}
	if (body) {
		snprintf(length, sizeof length, "%zu", body->len);
		buf_text(&req, "Content-Type: application/json\r\nContent-Length: ");
		buf_text(&req, length);
		buf_text(&req, "\r\n");
	}
	buf_text(&req, "\r\n");
	if (body)
		buf_add(&req, body->p, body->len);

	int64_t deadline = now_ms() + (int64_t)(timeout > 0 ? timeout : 5) * 1000;
	int code = SYSTEM_CALL, fd = -1;
	if (!req.failed && !(body && body->failed)) {
		code = NETWORK;
		fd = dial(proxy.host, proxy.port, deadline);
		if (fd >= 0 && send_all(fd, req.p, req.len, deadline))
			code = receive_answer(fd, out, deadline);
		if (fd >= 0)
			close(fd);
		if (!code && out->status != 200)
			code = UNPARSABLE;
	}
	buf_free(&proxy.credentials);
	buf_free(&req);
	return code;
}

/* ---- the handle and its token ------------------------------------------- */

struct WeWorkFinanceSdk_t {
	char *corpid, *secret;
	char token[1024]; /* percent-encoded */
	int64_t token_until; /* now_ms() */
};

/* 1 after the first successful Init of this process. */
static atomic_int initialised;

/* The parts of WeCom's refusal that an answer needs. */
struct refusal {
	long errcode;
	struct buf errmsg; /* a JSON string with its quotes */
};

/* Requests a token unless the handle has a valid one. If WeCom refuses, it
 * returns OK and sets refusal->errcode. */
static int fetch_token(WeWorkFinanceSdk_t *sdk, const char *proxy, const char *passwd, int timeout,
		       struct refusal *refusal)
{
	if (sdk->token[0] && now_ms() < sdk->token_until)
		return OK;
	sdk->token[0] = 0;
	struct buf path = {0};
	buf_text(&path, "/cgi-bin/gettoken?corpid=");
	buf_percent(&path, sdk->corpid);
	buf_text(&path, "&corpsecret=");
	buf_percent(&path, sdk->secret);
	struct answer a = {0};
	int code = path.failed ? SYSTEM_CALL : ask(proxy, passwd, timeout, path.p, NULL, &a);
	buf_free(&path);
	if (code) {
		answer_free(&a);
		return code;
	}
	const char *at = NULL, *after = NULL;
	long expires;
	if (!a.body.len || !json_number(a.body.p, a.body.len, "errcode", 0, &refusal->errcode)) {
		code = UNPARSABLE;
	} else if (refusal->errcode) {
		if (json_member(a.body.p, a.body.len, "errmsg", &at, &after) > 0 && *at == '"')
			buf_add(&refusal->errmsg, at, (size_t)(after - at));
		else
			buf_text(&refusal->errmsg, "\"\"");
	} else if (json_member(a.body.p, a.body.len, "access_token", &at, &after) <= 0 || *at != '"' ||
		   after - at <= 2) {
		code = UNPARSABLE;
	} else {
		char *plain = strndup(at + 1, (size_t)(after - at - 2));
		struct buf token = {0};
		if (plain)
			buf_percent(&token, plain);
		free(plain);
		json_number(a.body.p, a.body.len, "expires_in", 7200, &expires);
		if (!token.p || token.failed || token.len >= sizeof sdk->token) {
			code = UNPARSABLE;
		} else {
			memcpy(sdk->token, token.p, token.len + 1);
			sdk->token_until = now_ms() + (int64_t)expires * 1000;
		}
		buf_free(&token);
	}
	answer_free(&a);
	return code;
}

/* POSTs to path with the handle's token. If WeCom calls the token stale, it
 * requests a new token and repeats the POST once. OK with refusal->errcode set
 * means that gettoken was refused. OK without it means that out holds the answer
 * and *errcode its errcode, if the answer is JSON. */
static int post(WeWorkFinanceSdk_t *sdk, const char *proxy, const char *passwd, int timeout, const char *path,
		const struct buf *body, struct refusal *refusal, struct answer *out, long *errcode, int *is_json)
{
	for (int try = 0;; try++) {
		int code = fetch_token(sdk, proxy, passwd, timeout, refusal);
		if (code || refusal->errcode)
			return code;
		struct buf url = {0};
		buf_text(&url, path);
		buf_text(&url, "?access_token=");
		buf_text(&url, sdk->token);
		code = url.failed ? SYSTEM_CALL : ask(proxy, passwd, timeout, url.p, body, out);
		buf_free(&url);
		if (code)
			return code;
		char type[128];
		*is_json = !header(out, "Content-Type", type, sizeof type) ||
			   strncasecmp(type, "application/octet-stream", 24);
		*errcode = 0;
		if (*is_json && (!out->body.len || !json_number(out->body.p, out->body.len, "errcode", 0, errcode)))
			return UNPARSABLE;
		if ((*errcode != 40014 && *errcode != 42001) || try > 0)
			return OK;
		sdk->token[0] = 0;
		answer_free(out);
		*out = (struct answer){0};
	}
}

/* ---- misbehaviour ------------------------------------------------------- */

static const char *find(const char *p, size_t n, const char *what)
{
	size_t w = strlen(what);
	for (const char *end = p + n; n >= w; p++, n = (size_t)(end - p)) {
		p = memchr(p, what[0], n - w + 1);
		if (!p)
			return NULL;
		if (!memcmp(p, what, w))
			return p;
	}
	return NULL;
}

static void write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, p, n);
		if (done < 0 && errno != EINTR)
			return;
		if (done > 0) {
			p += done;
			n -= (size_t)done;
		}
	}
}

/* Leaks n bytes and writes to them. Returns 0 if no memory is left. */
static int leak(size_t n)
{
	volatile char *p = malloc(n); /* volatile: the compiler keeps the writes */
	for (size_t i = 0; p && i < n; i += 1024)
		p[i] = 1;
	return p != NULL;
}

/* Obeys the first marker in the text. Returns the code that the caller returns. */
static int misbehave(const char *text, size_t len)
{
	const char *p = find(text, len, "##standin:");
	if (!p)
		return OK;
	size_t left = len - (size_t)(p - text);
#define SAYS(marker) (left >= sizeof marker - 1 && !memcmp(p, marker, sizeof marker - 1))
	if (SAYS("##standin:crash##")) {
		volatile int *volatile nowhere = (int *)8;
		*nowhere = 1;
	}
	if (SAYS("##standin:abort##"))
		abort();
	if (SAYS("##standin:hang##"))
		for (;;)
			pause();
	if (SAYS("##standin:oom##")) {
		while (leak(1 << 20))
			;
		abort();
	}
	if (SAYS("##standin:leak##"))
		leak(1 << 20);
	if (SAYS("##standin:print##")) {
		char junk[1024];
		for (size_t i = 0; i < sizeof junk; i++)
			junk[i] = i % 64 == 63 ? '\n' : (char)(' ' + i % 90);
		for (int i = 0; i < 64; i++) {
			write_all(STDOUT_FILENO, junk, sizeof junk);
			write_all(STDERR_FILENO, junk, sizeof junk);
		}
	}
	if (SAYS("##standin:tell##")) { /* prints what it works on */
		write_all(STDOUT_FILENO, text, len);
		write_all(STDERR_FILENO, text, len);
	}
	if (SAYS("##standin:try:")) {
		const char *name = p + strlen("##standin:try:"), *end = find(name, left - strlen("##standin:try:"), "##");
		if (end)
			return TRIED + attempt(name, (size_t)(end - name));
	}
	int code = OK, read = 0;
	if (SAYS("##standin:code:") && left >= 22 && sscanf(p, "##standin:code:%5d##%n", &code, &read) == 1 && read > 0)
		return code;
	return OK;
#undef SAYS
}

/* ---- ChaCha20 (RFC 8439) and CRC-32 ------------------------------------- */

static uint32_t le32(const unsigned char *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

#define ROTATE(v, n) ((v) << (n) | (v) >> (32 - (n)))
#define QUARTER(a, b, c, d)                          \
	a += b, d ^= a, d = ROTATE(d, 16), c += d, b ^= c, b = ROTATE(b, 12), \
	a += b, d ^= a, d = ROTATE(d, 8), c += d, b ^= c, b = ROTATE(b, 7)

static void chacha20(const unsigned char key[32], const unsigned char nonce[12], unsigned char *p, size_t n)
{
	uint32_t s[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574}, x[16];
	for (int i = 0; i < 8; i++)
		s[4 + i] = le32(key + 4 * i);
	for (int i = 0; i < 3; i++)
		s[13 + i] = le32(nonce + 4 * i);
	for (; n > 0; s[12]++) {
		memcpy(x, s, sizeof x);
		for (int i = 0; i < 10; i++) {
			QUARTER(x[0], x[4], x[8], x[12]);
			QUARTER(x[1], x[5], x[9], x[13]);
			QUARTER(x[2], x[6], x[10], x[14]);
			QUARTER(x[3], x[7], x[11], x[15]);
			QUARTER(x[0], x[5], x[10], x[15]);
			QUARTER(x[1], x[6], x[11], x[12]);
			QUARTER(x[2], x[7], x[8], x[13]);
			QUARTER(x[3], x[4], x[9], x[14]);
		}
		for (int i = 0; i < 64 && n > 0; i++, n--)
			*p++ ^= (unsigned char)((x[i / 4] + s[i / 4]) >> (8 * (i % 4)));
	}
}

static uint32_t crc32(const unsigned char *p, size_t n)
{
	static uint32_t table[256];
	static atomic_int ready;
	if (!atomic_load(&ready)) { /* two threads would write the same */
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t c = i;
			for (int k = 0; k < 8; k++)
				c = c & 1 ? c >> 1 ^ 0xedb88320u : c >> 1;
			table[i] = c;
		}
		atomic_store(&ready, 1);
	}
	uint32_t c = ~0u;
	while (n-- > 0)
		c = table[(c ^ *p++) & 255] ^ c >> 8;
	return ~c;
}

/* ---- the 17 functions --------------------------------------------------- */

#ifndef OMIT_NewSdk
WeWorkFinanceSdk_t *NewSdk(void) { return calloc(1, sizeof(WeWorkFinanceSdk_t)); }
#endif

#ifndef OMIT_DestroySdk
void DestroySdk(WeWorkFinanceSdk_t *sdk)
{
	if (!sdk)
		return;
	free(sdk->corpid);
	free(sdk->secret);
	free(sdk);
}
#endif

#ifndef OMIT_Init
int Init(WeWorkFinanceSdk_t *sdk, const char *corpid, const char *secret)
{
	if (!sdk || sdk->corpid || !corpid || !*corpid || !secret || !*secret)
		return BAD_ARGUMENT;
	sdk->corpid = strdup(corpid);
	sdk->secret = strdup(secret);
	if (!sdk->corpid || !sdk->secret)
		return SYSTEM_CALL;
#ifdef INIT_CHECKS_SECRET
	struct refusal refusal = {0};
	int code = fetch_token(sdk, NULL, NULL, 5, &refusal);
	buf_free(&refusal.errmsg);
	if (!code && refusal.errcode)
		code = BAD_ARGUMENT;
	if (code)
		return code;
#endif
	atomic_store(&initialised, 1);
	return OK;
}
#endif

/* Moves the bytes of b into the slice. */
static int fill(Slice_t *slice, struct buf *b)
{
	if (b->failed || b->len > INT_MAX) {
		buf_free(b);
		return SYSTEM_CALL;
	}
	free(slice->buf);
	slice->buf = b->p;
	slice->len = (int)b->len;
	*b = (struct buf){0};
	return OK;
}

#ifndef OMIT_GetChatData
int GetChatData(WeWorkFinanceSdk_t *sdk, unsigned long long seq, unsigned int limit, const char *proxy,
		const char *passwd, int timeout, Slice_t *chatDatas)
{
	if (!sdk || !sdk->corpid || !chatDatas || limit == 0 || limit > 1000)
		return BAD_ARGUMENT;
	struct buf body = {0}, made = {0};
	struct refusal refusal = {0};
	struct answer a = {0};
	char numbers[96];
	long errcode = 0;
	int is_json = 0;
	snprintf(numbers, sizeof numbers, "{\"seq\":%llu,\"limit\":%u}", seq, limit);
	buf_text(&body, numbers);
	int code = post(sdk, proxy, passwd, timeout, "/cgi-bin/message/getchatdata", &body, &refusal, &a, &errcode,
			&is_json);
	if (!code && refusal.errcode) {
		snprintf(numbers, sizeof numbers, "{\"errcode\":%ld,\"errmsg\":", refusal.errcode);
		buf_text(&made, numbers);
		buf_add(&made, refusal.errmsg.p, refusal.errmsg.len);
		buf_text(&made, ",\"chatdata\":[]}");
		code = fill(chatDatas, &made);
	} else if (!code && !is_json) {
		code = UNPARSABLE;
	} else if (!code) {
		const char *at, *after;
		if (json_member(a.body.p, a.body.len, "errmsg", &at, &after) > 0)
			code = misbehave(at, (size_t)(after - at));
		if (!code)
			code = fill(chatDatas, &a.body);
	}
	answer_free(&a);
	buf_free(&body);
	buf_free(&refusal.errmsg);
	return code;
}
#endif

#ifndef OMIT_DecryptData
int DecryptData(const char *encrypt_key, const char *encrypt_msg, Slice_t *msg)
{
	static const char prefix[] = "YDSTANDIN-01:";
	unsigned char key[66];
	if (!atomic_load(&initialised)) { /* as the real library does (wecom.md 1.3) */
		static const char last_words[] = "free(): invalid pointer\n";
		write_all(STDERR_FILENO, last_words, sizeof last_words - 1);
		abort();
	}
#ifdef LEAKY
	leak(64 << 10);
#endif
	if (!encrypt_key || !encrypt_msg || !msg)
		return BAD_ARGUMENT;
	if (strlen(encrypt_key) != 88 || base64_decode(encrypt_key, 88, key) != 64)
		return BAD_KEY;
	for (int i = 0; i < 32; i++)
		key[i] ^= key[32 + i];
	if (strncmp(encrypt_msg, prefix, sizeof prefix - 1))
		return DECRYPTION;
	encrypt_msg += sizeof prefix - 1;
	size_t len = strlen(encrypt_msg);
	unsigned char *raw = malloc(len / 4 * 3 + 1);
	if (!raw)
		return SYSTEM_CALL;
	long n = base64_decode(encrypt_msg, len, raw);
	if (n < 12 + 4) {
		free(raw);
		return DECRYPTION;
	}
	unsigned char *plain = raw + 12;
	chacha20(key, raw, plain, (size_t)n - 12);
	uint32_t sum = (uint32_t)plain[0] << 24 | (uint32_t)plain[1] << 16 | (uint32_t)plain[2] << 8 | plain[3];
	size_t size = (size_t)n - 16;
	if (sum != crc32(plain + 4, size)) {
		free(raw);
		return DECRYPTION;
	}
	int code = misbehave((char *)plain + 4, size);
	if (!code) {
		struct buf out = {0};
		buf_add(&out, (char *)plain + 4, size);
		code = fill(msg, &out);
	}
	free(raw);
	return code;
}
#endif

#ifndef OMIT_GetMediaData
int GetMediaData(WeWorkFinanceSdk_t *sdk, const char *indexbuf, const char *sdkFileid, const char *proxy,
		 const char *passwd, int timeout, MediaData_t *media_data)
{
	if (!sdk || !sdk->corpid || !media_data || !sdkFileid || !*sdkFileid)
		return BAD_ARGUMENT;
	struct buf body = {0};
	struct refusal refusal = {0};
	struct answer a = {0};
	long errcode = 0;
	int is_json = 0;
	buf_text(&body, "{\"sdkfileid\":");
	buf_json(&body, sdkFileid);
	buf_text(&body, ",\"indexbuf\":");
	buf_json(&body, indexbuf ? indexbuf : "");
	buf_text(&body, "}");
	int code = post(sdk, proxy, passwd, timeout, "/cgi-bin/message/getchatmediadata", &body, &refusal, &a, &errcode,
			&is_json);
	buf_free(&body);
	buf_free(&refusal.errmsg);
	if (refusal.errcode)
		errcode = refusal.errcode;
	char finish[8], index[256] = "", marker[64];
	if (!code && !refusal.errcode && header(&a, "X-Marker", marker, sizeof marker))
		code = misbehave(marker, strlen(marker));
	if (code) {
		;
	} else if (refusal.errcode || is_json) {
		/* GetMediaData returns no JSON, so WeCom's errcode becomes a return code. */
		code = errcode == 301042   ? BAD_ADDRESS
		       : errcode == 301048 ? EXPIRED
		       : errcode == 40058  ? BAD_ARGUMENT
		       : errcode == 40007  ? BAD_FILEID
					   : UNPARSABLE;
	} else if (a.body.len > CHUNK_LIMIT || !header(&a, "X-Is-Finish", finish, sizeof finish) ||
		   (strcmp(finish, "0") && strcmp(finish, "1"))) {
		code = UNPARSABLE;
	} else {
		header(&a, "X-Out-Index", index, sizeof index);
		free(media_data->outindexbuf);
		free(media_data->data);
		media_data->outindexbuf = strdup(index);
		media_data->out_len = media_data->outindexbuf ? (int)strlen(index) : 0;
		media_data->data = a.body.p;
		media_data->data_len = (int)a.body.len;
		media_data->is_finish = finish[0] == '1';
		a.body = (struct buf){0};
	}
	answer_free(&a);
	return code;
}
#endif

#ifndef OMIT_NewSlice
Slice_t *NewSlice(void) { return calloc(1, sizeof(Slice_t)); }
#endif

#ifndef OMIT_FreeSlice
void FreeSlice(Slice_t *slice)
{
	if (slice)
		free(slice->buf);
	free(slice);
}
#endif

#ifndef OMIT_GetContentFromSlice
char *GetContentFromSlice(Slice_t *slice) { return slice ? slice->buf : NULL; }
#endif

#ifndef OMIT_GetSliceLen
int GetSliceLen(Slice_t *slice) { return slice ? slice->len : 0; }
#endif

#ifndef OMIT_NewMediaData
MediaData_t *NewMediaData(void) { return calloc(1, sizeof(MediaData_t)); }
#endif

#ifndef OMIT_FreeMediaData
void FreeMediaData(MediaData_t *media_data)
{
	if (media_data) {
		free(media_data->outindexbuf);
		free(media_data->data);
	}
	free(media_data);
}
#endif

#ifndef OMIT_GetOutIndexBuf
char *GetOutIndexBuf(MediaData_t *media_data) { return media_data ? media_data->outindexbuf : NULL; }
#endif

#ifndef OMIT_GetIndexLen
int GetIndexLen(MediaData_t *media_data) { return media_data ? media_data->out_len : 0; }
#endif

#ifndef OMIT_GetData
char *GetData(MediaData_t *media_data) { return media_data ? media_data->data : NULL; }
#endif

#ifndef OMIT_GetDataLen
int GetDataLen(MediaData_t *media_data) { return media_data ? media_data->data_len : 0; }
#endif

#ifndef OMIT_IsMediaDataFinish
int IsMediaDataFinish(MediaData_t *media_data) { return media_data ? media_data->is_finish : 0; }
#endif
