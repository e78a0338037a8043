/*
 * The library as a C++17 program uses it, with nothing but the installed header
 * and library; test_library.py compiles and runs it.
 *
 *	library get REF...	each by a blocking call: its value, a line each
 *	library loop REF...	the same, all at a time, by requests: REF=VALUE
 *				or REF!ERROR, in the order in which they are done
 *	library again REF	as loop, then waits for a line of input, and again
 *	library call METHOD TARGET [BODY]	the status, and the body
 *	library seal REF	the value through an envelope and back
 *	library watch REF	a line when it is watched, then the first event
 */
#include <qapi-agent.h>

#include <poll.h>

#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace {

template <typename T, void (*release)(T **)> struct deleter {
	void operator()(T *p) const { release(&p); }
};

using handle = std::unique_ptr<qapi_agent,
    deleter<qapi_agent, qapi_agent_free>>;
using item = std::unique_ptr<qapi_agent_item,
    deleter<qapi_agent_item, qapi_agent_item_free>>;
using reply = std::unique_ptr<qapi_agent_reply,
    deleter<qapi_agent_reply, qapi_agent_reply_free>>;
using stream = std::unique_ptr<qapi_agent_stream,
    deleter<qapi_agent_stream, qapi_agent_stream_free>>;
/* there is a function of that name, too */
using watch = std::unique_ptr<struct qapi_agent_watch,
    deleter<struct qapi_agent_watch, qapi_agent_watch_free>>;
using done = std::function<void(qapi_agent_request *)>;

std::string_view
bytes(const item &i)
{
	size_t len = 0;
	const void *p = qapi_agent_item_value(i.get(), &len);

	return {static_cast<const char *>(p), len};
}

int
fail(const handle &agent, int error)
{
	std::cerr << qapi_agent_error_name(error) << ": "
		  << qapi_agent_message(agent.get()) << "\n";
	return 1;
}

int
get(const handle &agent, const std::vector<std::string> &refs)
{
	for (const auto &ref : refs) {
		qapi_agent_item *got = nullptr;
		const int r = qapi_agent_get(agent.get(), ref.c_str(),
		    nullptr, &got);

		if (r != 0)
			return fail(agent, r);
		std::cout << bytes(item(got)) << "\n";
	}
	return 0;
}

int
loop(const handle &agent, const std::vector<std::string> &refs)
{
	std::map<qapi_agent_request *, std::string> asked;
	done told = [&](qapi_agent_request *request) {
		item got(qapi_agent_request_take_item(request));

		std::cout << asked.at(request);
		if (got)
			std::cout << "=" << bytes(got) << "\n";
		else
			std::cout << "!" << qapi_agent_error_name(
			    qapi_agent_request_error(request)) << "\n";
		asked.erase(request);
		qapi_agent_request_free(&request);
	};

	for (const auto &ref : refs) {
		const char *const one[] = {ref.c_str()};
		qapi_agent_request *request = nullptr;
		const int r = qapi_agent_start_get(agent.get(), one, 1,
		    nullptr, [](qapi_agent_request *q, void *arg) {
			    (*static_cast<done *>(arg))(q);
		    }, &told, &request);

		if (r != 0)
			return fail(agent, r);
		asked[request] = ref;
	}
	do {
		int timeout_ms = 0;
		pollfd pfd = {qapi_agent_fd(agent.get()), 0, 0};

		pfd.events = qapi_agent_want(agent.get(), &timeout_ms);
		(void)poll(&pfd, 1, timeout_ms);
	} while (qapi_agent_step(agent.get()) > 0);
	std::cout << std::flush;
	return asked.empty() ? 0 : 9;
}

int
call(const handle &agent, const std::vector<std::string> &args)
{
	const bool has_body = args.size() > 2;
	qapi_agent_reply *got = nullptr;
	size_t len = 0;
	const int r = qapi_agent_call(agent.get(), args.at(0).c_str(),
	    args.at(1).c_str(), nullptr, nullptr, nullptr,
	    has_body ? args[2].data() : nullptr,
	    has_body ? args[2].size() : 0, &got);

	if (r != 0)
		return fail(agent, r);
	reply answer(got);
	const void *body = qapi_agent_reply_body(answer.get(), &len);

	std::cout << qapi_agent_reply_status(answer.get()) << "\n"
		  << std::string_view(static_cast<const char *>(body), len);
	return 0;
}

int
append(void *arg, const void *p, size_t len)
{
	static_cast<std::string *>(arg)->append(
	    static_cast<const char *>(p), len);
	return 0;
}

int
seal(const handle &agent, const std::string &ref)
{
	std::string sealed, opened;
	qapi_agent_stream *s = nullptr;
	qapi_agent_item *got = nullptr;
	int r = qapi_agent_get(agent.get(), ref.c_str(), nullptr, &got);

	if (r != 0)
		return fail(agent, r);
	item value(got);

	r = qapi_agent_seal(agent.get(), nullptr, "aad", 3, append, &sealed,
	    &s);
	if (r != 0)
		return fail(agent, r);
	stream in(s);

	if ((r = qapi_agent_stream_write(in.get(), bytes(value).data(),
	    bytes(value).size())) != 0 ||
	    (r = qapi_agent_stream_end(in.get())) != 0 ||
	    (r = qapi_agent_open(agent.get(), "aad", 3, append, &opened,
	    &s)) != 0)
		return fail(agent, r);
	stream out(s);

	if ((r = qapi_agent_stream_write(out.get(), sealed.data(),
	    sealed.size())) != 0 ||
	    (r = qapi_agent_stream_end(out.get())) != 0)
		return fail(agent, r);
	std::cout << opened;
	return 0;
}

int
watch_one(const handle &agent, const std::string &ref)
{
	const char *const refs[] = {ref.c_str()};
	struct qapi_agent_watch *got = nullptr;
	enum qapi_agent_reason reason {};
	bool told = false;
	size_t i = 0;
	int r = qapi_agent_watch_start(agent.get(), refs, nullptr, 1, &got);

	if (r != 0)
		return fail(agent, r);
	watch w(got);

	while ((r = qapi_agent_watch_take(w.get(), &i, &reason)) ==
	    QAPI_AGENT_ERR_TIMEOUT) {
		int timeout_ms = 0;
		pollfd pfd = {qapi_agent_watch_fd(w.get()), 0, 0};

		pfd.events = qapi_agent_watch_want(w.get(), &timeout_ms);
		(void)poll(&pfd, 1, timeout_ms);
		qapi_agent_watch_step(w.get());
		/* the version is known once the agent has answered */
		if (!told && qapi_agent_item_version(qapi_agent_items_at(
		    qapi_agent_watch_items(w.get()), 0)) > 0) {
			std::cout << "watched" << std::endl;
			told = true;
		}
	}
	if (r != 0)
		return fail(agent, r);
	std::cout << qapi_agent_reason_name(reason) << "\n";
	return 0;
}

} // namespace

int
main(int argc, char **argv)
{
	const std::vector<std::string> args(argv + 2, argv + argc);
	const std::string mode = argv[1];
	handle agent(qapi_agent_new());
	std::string line;

	if (mode == "get")
		return get(agent, args);
	if (mode == "call")
		return call(agent, args);
	if (mode == "seal")
		return seal(agent, args.at(0));
	if (mode == "watch")
		return watch_one(agent, args.at(0));
	if (mode == "again") {
		(void)loop(agent, args);
		std::getline(std::cin, line);
	}
	return loop(agent, args);
}
