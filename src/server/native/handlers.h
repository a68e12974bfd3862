// The routes of Ollama's native interface, and the few of ours beside them. Spec: ollama-compat 1,
// quipu-extensions 8.
//
// Each answers its reply, or hands it to whoever does. Threads: the server's own for those that answer at
// once, else a thread that may wait for files.
#pragma once

#include <string>

#include "fleet/fleet.h"
#include "http/body_sink.h"
#include "server/config.h"
#include "server/reply.h"
#include "store/store.h"

namespace quipu::server {

class Service;

namespace native {

using Parameter = const std::string&;

// Answered at once.
void root(Service&, const ReplyPtr& reply, Parameter);
void version(Service&, const ReplyPtr& reply, Parameter);
void status(Service&, const ReplyPtr& reply, Parameter);
void health(Service&, const ReplyPtr& reply, Parameter);
void me(Service&, const ReplyPtr& reply, Parameter);
void web_search(Service&, const ReplyPtr& reply, Parameter);
void web_fetch(Service&, const ReplyPtr& reply, Parameter);
void other_dialect(Service&, const ReplyPtr& reply, Parameter);

// Models at work.
void generate(Service&, const ReplyPtr& reply, Parameter);
void chat(Service&, const ReplyPtr& reply, Parameter);
void embed(Service&, const ReplyPtr& reply, Parameter);
void embeddings(Service&, const ReplyPtr& reply, Parameter);
void tokenize(Service&, const ReplyPtr& reply, Parameter);
void detokenize(Service&, const ReplyPtr& reply, Parameter);
void ps(Service&, const ReplyPtr& reply, Parameter);
void doctor(Service&, const ReplyPtr& reply, Parameter);
void metrics(Service&, const ReplyPtr& reply, Parameter);
void plan(Service&, const ReplyPtr& reply, Parameter);
void preload(Service&, const std::string& name);

// Models in the store.
void tags(Service&, const ReplyPtr& reply, Parameter);
void show(Service&, const ReplyPtr& reply, Parameter);
void create(Service&, const ReplyPtr& reply, Parameter);
void copy(Service&, const ReplyPtr& reply, Parameter);
void remove(Service&, const ReplyPtr& reply, Parameter);
void pull(Service&, const ReplyPtr& reply, Parameter);
void push(Service&, const ReplyPtr& reply, Parameter);

// Uploads: the body goes to a file in the store as it comes.
http::Admission admit_blob(store::Store& store, const std::string& digest, http::Headers headers);
void head_blob(Service&, const ReplyPtr& reply, Parameter digest);
void post_blob(Service&, const ReplyPtr& reply, Parameter digest);

// One line for each, with what a user wants to know.
void log_event(const Config& config, const fleet::FleetEvent& event);

}  // namespace native
}  // namespace quipu::server
