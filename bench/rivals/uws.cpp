// A server of the plain dialect on uWebSockets: bench/rivals/uws PORT. The publisher's socket is uncorked before it
// publishes: with 32 messages outstanding uWebSockets would write each of them by itself otherwise.

#include <App.h>
#include <nlohmann/json.hpp>
#include <random>

struct Data {};
using Socket = uWS::WebSocket<false, true, Data>;
struct Uncork : uWS::AsyncSocket<false> {
    using uWS::AsyncSocket<false>::uncork;
};

static std::string uuid() {
    static std::mt19937_64 random{std::random_device{}()};
    unsigned long long high = random(), low = random();
    char text[37];
    std::snprintf(text, sizeof text, "%08llx-%04llx-4%03llx-%04llx-%012llx", high >> 32, high >> 16 & 0xffff, high & 0xfff,
                  0x8000 | (low >> 48 & 0x3fff), low & 0xffffffffffff);
    return text;
}

int main(int, char **argv) {
    uWS::App app;
    app.ws<Data>("/socket", {
        .compression = uWS::DISABLED,
        .maxPayloadLength = 1 << 20,
        .idleTimeout = 120,
        .maxBackpressure = 64 << 20,
        .open = [](Socket *socket) { socket->send("Server: Welcome! Your ID is " + uuid(), uWS::TEXT); },
        .message = [&app](Socket *socket, std::string_view frame, uWS::OpCode) {
            auto request = nlohmann::json::parse(frame, nullptr, false);
            if (request.is_discarded()) return (void) socket->send("Server: Invalid msg", uWS::TEXT);
            std::string action = request.value("action", ""), topic = request.value("topic", "");
            if (action == "subscribe") {
                socket->subscribe(topic);
            } else if (action == "unsubscribe") {
                socket->unsubscribe(topic);
            } else if (action == "publish") {
                static_cast<Uncork *>(static_cast<uWS::AsyncSocket<false> *>(socket))->uncork();
                app.publish(topic, request.value("message", ""), uWS::TEXT);
            } else {
                socket->send("Server: Action unrecognized", uWS::TEXT);
            }
        },
    });
    app.listen("127.0.0.1", std::atoi(argv[1]), [](auto *listener) {
        if (!listener) std::exit(1);
    });
    app.run();
}
