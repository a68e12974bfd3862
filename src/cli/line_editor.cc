#include "cli/line_editor.h"

#include <histedit.h>
#include <langinfo.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "cli/external_editor.h"
#include "cli/render.h"

namespace quipu::cli {

namespace {

std::wstring widen(std::string_view text) {
  std::wstring out;
  while (!text.empty()) {
    size_t n = 0;
    out += static_cast<wchar_t>(decode_utf8(text, &n));
    text.remove_prefix(n);
  }
  return out;
}

std::string narrow(std::wstring_view text) {
  std::string out;
  for (wchar_t c : text) out += encode_utf8(static_cast<char32_t>(c));
  return out;
}

// libedit asks the C library how wide characters are, and that answers only in a UTF-8 locale.
void use_utf8_locale() {
  std::setlocale(LC_CTYPE, "");
  if (std::strcmp(nl_langinfo(CODESET), "UTF-8") != 0) std::setlocale(LC_CTYPE, "C.UTF-8");
}

// Terminals send a pasted newline as CR; the line discipline swaps CR and LF while a line is edited. One of
// either, or the pair in either order, is one newline.
std::wstring clean_paste(std::wstring_view text) {
  std::wstring out;
  for (size_t i = 0; i < text.size(); ++i) {
    const wchar_t c = text[i];
    if (c == L'\r' || c == L'\n') {
      const wchar_t other = c == L'\r' ? L'\n' : L'\r';
      if (i + 1 < text.size() && text[i + 1] == other) ++i;
      out += L'\n';
    } else if (c == L'\t' || (c >= 0x20 && c != 0x7F && !(c >= 0x80 && c < 0xA0))) {
      out += c;
    }
  }
  return out;
}

// A changed window interrupts the wait for a key, for as long as this lives.
class WindowWatch {
 public:
  WindowWatch() {
    struct sigaction wake{};
    wake.sa_handler = [](int) {};
    sigemptyset(&wake.sa_mask);
    sigaction(SIGWINCH, &wake, &before_);
  }
  ~WindowWatch() { sigaction(SIGWINCH, &before_, nullptr); }
  WindowWatch(const WindowWatch&) = delete;
  WindowWatch& operator=(const WindowWatch&) = delete;

 private:
  struct sigaction before_{};
};

// A window that changes just before the wait for a key does not interrupt it; it is seen this much later.
constexpr int kLookMs = 250;

constexpr std::wstring_view kPasteEnd = L"\x1b[201~";
constexpr size_t kMostPaste = size_t{64} << 20;

}  // namespace

struct LineEditor::Impl {
  Impl(Console& c, HistoryFile f) : console(c), file(std::move(f)) {}
  ~Impl() {
    if (edit != nullptr) el_end(edit);
    if (history != nullptr) history_wend(history);
  }

  static Impl& of(EditLine* e) {
    void* self = nullptr;
    el_wget(e, EL_CLIENTDATA, &self);
    return *static_cast<Impl*>(self);
  }

  bool empty() const {
    const LineInfoW* line = el_wline(edit);
    return line->lastchar == line->buffer;
  }
  std::string text() const {
    const LineInfoW* line = el_wline(edit);
    return narrow({line->buffer, static_cast<size_t>(line->lastchar - line->buffer)});
  }

  bool start();
  void bind_keys();
  int read_byte(unsigned char* byte);
  int read_char(wchar_t* out);
  void show_hint();
  void hide_hint();
  void follow_window();
  void prepare_terminal();

  static wchar_t* prompt_of(EditLine* e) { return of(e).prompt.data(); }
  static int get_char(EditLine* e, wchar_t* out) { return of(e).read_char(out); }
  static unsigned char insert_newline(EditLine* e, wint_t);
  static unsigned char insert_tab(EditLine* e, wint_t);
  static unsigned char paste(EditLine* e, wint_t);
  static unsigned char end_or_delete(EditLine* e, wint_t);
  static unsigned char open_editor(EditLine* e, wint_t);
  static unsigned char suspend(EditLine* e, wint_t);

  Console& console;
  HistoryFile file;
  EditLine* edit = nullptr;
  HistoryW* history = nullptr;
  std::wstring prompt;
  std::string hint;
  bool hint_due = false, hint_shown = false;
  int columns = 0;  // of the window that the line was drawn for
  bool to_file = true;
  Outcome outcome = Outcome::kLine;
  std::string interrupted_text;
};

int LineEditor::Impl::read_byte(unsigned char* byte) {
  while (true) {
    const SignalWatch::Wake wake = console.signals().wait(console.in_fd(), POLLIN, kLookMs);
    follow_window();
    if (wake == SignalWatch::Wake::kTimeout) continue;
    if (wake == SignalWatch::Wake::kSignal) {
      if (!console.signals().take_interrupt()) continue;
      outcome = console.signals().ending() != 0 ? Outcome::kEnd : Outcome::kInterrupted;
      interrupted_text = text();
      return -1;
    }
    const ssize_t n = ::read(console.in_fd(), byte, 1);
    if (n == 1) return 1;
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    outcome = Outcome::kEnd;
    return -1;
  }
}

int LineEditor::Impl::read_char(wchar_t* out) {
  show_hint();
  std::string bytes(1, '\0');
  const int got = read_byte(reinterpret_cast<unsigned char*>(bytes.data()));
  hide_hint();
  if (got != 1) return -1;
  const auto lead = static_cast<unsigned char>(bytes[0]);
  const size_t length = lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  while (bytes.size() < length) {
    unsigned char next = 0;
    if (read_byte(&next) != 1) return -1;
    bytes += static_cast<char>(next);
  }
  size_t n = 0;
  *out = static_cast<wchar_t>(decode_utf8(bytes, &n));
  return 1;
}

void LineEditor::Impl::show_hint() {
  if (!hint_due) return;
  hint_due = false;
  if (hint.empty() || !console.out_has_cursor() || console.columns() < 40) return;
  hint_shown = true;
  const char* grey = console.colour() ? "\x1b[38;5;245m" : "";
  const char* plain = console.colour() ? "\x1b[0m" : "";
  console.out(fmt::format("{}{}{}\x1b[{}D", grey, hint, plain, hint.size()));
}

void LineEditor::Impl::hide_hint() {
  if (hint_shown) console.out("\x1b[K");
  hint_shown = false;
}

void LineEditor::Impl::prepare_terminal() {
  el_wset(edit, EL_PREP_TERM, 1);
  termios modes{};
  if (tcgetattr(console.in_fd(), &modes) != 0) return;
  modes.c_cc[VSUSP] = _POSIX_VDISABLE;  // Ctrl-Z is a key while a line is edited
  tcsetattr(console.in_fd(), TCSADRAIN, &modes);
}

// Terminals wrap what they show anew when their width changes, so the line begins as many rows above the
// cursor as its text takes now. It is drawn again from there. (Rows are erased one by one: some terminals
// keep a screen that is cleared from its first place on in their history.)
void LineEditor::Impl::follow_window() {
  if (console.columns() == columns) return;
  columns = console.columns();
  hide_hint();
  const LineInfoW* line = el_wline(edit);
  const std::wstring_view before(line->buffer, static_cast<size_t>(line->cursor - line->buffer));
  const int rows = rows_before_cursor(narrow(prompt) + narrow(before), columns);
  std::string erase = "\x1b[J\r\x1b[2K";
  for (int i = 0; i < rows; ++i) erase += "\x1b[A\x1b[2K";
  console.out(erase);
  el_resize(edit);
  el_wset(edit, EL_REFRESH);
}

unsigned char LineEditor::Impl::insert_newline(EditLine* e, wint_t) {
  return el_winsertstr(e, L"\n") == 0 ? CC_REFRESH : CC_ERROR;
}

unsigned char LineEditor::Impl::insert_tab(EditLine* e, wint_t) {
  return el_winsertstr(e, L"        ") == 0 ? CC_REFRESH : CC_ERROR;
}

unsigned char LineEditor::Impl::paste(EditLine* e, wint_t) {
  std::wstring text;
  while (text.size() < kMostPaste && !text.ends_with(kPasteEnd)) {
    wchar_t c = 0;
    if (of(e).read_char(&c) != 1) return CC_EOF;
    text += c;
  }
  if (text.ends_with(kPasteEnd)) text.erase(text.size() - kPasteEnd.size());
  const std::wstring clean = clean_paste(text);
  return clean.empty() || el_winsertstr(e, clean.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
}

unsigned char LineEditor::Impl::end_or_delete(EditLine* e, wint_t) {
  Impl& self = of(e);
  if (self.empty()) {
    self.outcome = Outcome::kEnd;
    return CC_EOF;
  }
  const LineInfoW* line = el_wline(e);
  if (line->cursor == line->lastchar) return CC_NORM;
  el_cursor(e, 1);
  el_deletestr(e, 1);
  return CC_REFRESH;
}

unsigned char LineEditor::Impl::open_editor(EditLine* e, wint_t) {
  Impl& self = of(e);
  el_wset(e, EL_PREP_TERM, 0);
  const Result<std::string> edited = edit_text(self.text());
  self.prepare_terminal();
  if (!edited) {
    self.console.out("\n");
    self.console.report(edited.error());
  } else {
    const LineInfoW* line = el_wline(e);
    el_cursor(e, static_cast<int>(line->lastchar - line->cursor));
    el_deletestr(e, static_cast<int>(line->lastchar - line->buffer));
    if (!edited->empty()) el_winsertstr(e, widen(*edited).c_str());
  }
  return CC_REDISPLAY;
}

// Ctrl-Z. It comes as a key, so that the shell finds the terminal as it was, and the line is drawn again
// after.
unsigned char LineEditor::Impl::suspend(EditLine* e, wint_t) {
  Impl& self = of(e);
  self.console.out("\x1b[?2004l\n");
  el_wset(e, EL_PREP_TERM, 0);
  kill(0, SIGTSTP);  // the whole pipeline, as the terminal would
  self.prepare_terminal();
  self.console.out("\x1b[?2004h");
  self.columns = self.console.columns();
  el_resize(e);
  el_wset(e, EL_REFRESH);
  return CC_NORM;
}

void LineEditor::Impl::bind_keys() {
  const auto add = [&](const wchar_t* name, const wchar_t* help, unsigned char (*f)(EditLine*, wint_t)) {
    el_wset(edit, EL_ADDFN, name, help, f);
  };
  add(L"quipu-newline", L"Start a new line", &insert_newline);
  add(L"quipu-tab", L"Insert eight spaces", &insert_tab);
  add(L"quipu-paste", L"Insert pasted text", &paste);
  add(L"quipu-end", L"Leave, or delete a character", &end_or_delete);
  add(L"quipu-editor", L"Open an editor", &open_editor);
  add(L"quipu-suspend", L"Stop the program", &suspend);
  const auto bind = [&](const wchar_t* key, const wchar_t* function) {
    el_wset(edit, EL_BIND, key, function, nullptr);
  };
  bind(L"^J", L"ed-newline");
  bind(L"^M", L"quipu-newline");  // the key Ctrl-J: see clean_paste
  bind(L"^I", L"quipu-tab");
  bind(L"^D", L"quipu-end");
  bind(L"^G", L"quipu-editor");
  bind(L"^Z", L"quipu-suspend");
  bind(L"^W", L"ed-delete-prev-word");
  bind(L"^U", L"vi-kill-line-prev");
  bind(L"\\e[200~", L"quipu-paste");
  bind(L"\\e[3~", L"ed-delete-next-char");
  for (const wchar_t* home : {L"\\e[H", L"\\e[1~", L"\\eOH"}) bind(home, L"ed-move-to-beg");
  for (const wchar_t* end : {L"\\e[F", L"\\e[4~", L"\\eOF"}) bind(end, L"ed-move-to-end");
  bind(L"\\e[1;5D", L"ed-prev-word");
  bind(L"\\e[1;5C", L"em-next-word");
}

bool LineEditor::Impl::start() {
  use_utf8_locale();
  history = history_winit();
  edit = el_init("quipu", stdin, stdout, stderr);
  if (history == nullptr || edit == nullptr) return false;
  HistEventW event;
  history_w(history, &event, H_SETSIZE, static_cast<int>(HistoryFile::kMostLines));
  history_w(history, &event, H_SETUNIQUE, 1);
  for (const std::string& line : file.read()) history_w(history, &event, H_ENTER, widen(line).c_str());
  el_wset(edit, EL_CLIENTDATA, this);
  el_wset(edit, EL_PROMPT, &prompt_of);
  el_wset(edit, EL_EDITOR, L"emacs");
  el_wset(edit, EL_HIST, history_w, history);
  el_wset(edit, EL_GETCFN, &get_char);
  bind_keys();
  return true;
}

LineEditor::LineEditor(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LineEditor::~LineEditor() = default;

Result<std::unique_ptr<LineEditor>> LineEditor::create(Console& console, HistoryFile file) {
  auto impl = std::make_unique<Impl>(console, std::move(file));
  if (!impl->start()) return error(Code::kUnavailable, "the line editor cannot use this terminal");
  return std::unique_ptr<LineEditor>(new LineEditor(std::move(impl)));
}

LineSource::Line LineEditor::read(const std::string& prompt, const std::string& hint) {
  Impl& s = *impl_;
  s.prompt = widen(prompt);
  s.hint = hint;
  s.hint_due = true;
  s.outcome = Outcome::kLine;
  s.columns = s.console.columns();
  const WindowWatch watch;
  if (s.console.out_has_cursor()) s.console.out("\x1b[?2004h");  // mark what is pasted
  // Left to itself libedit prints the prompt first: what is typed at once would be taken, and echoed, as in a
  // plain terminal.
  s.prepare_terminal();
  el_resize(s.edit);
  int length = 0;
  const wchar_t* got = el_wgets(s.edit, &length);
  if (s.console.out_has_cursor()) s.console.out("\x1b[?2004l");
  if (s.outcome == Outcome::kInterrupted) {
    s.console.out("\n");
    return {Outcome::kInterrupted, s.interrupted_text};
  }
  if (got == nullptr || length < 0 || s.outcome == Outcome::kEnd) {
    s.console.out("\n");
    return {Outcome::kEnd, {}};
  }
  std::wstring_view line(got, static_cast<size_t>(length));
  if (line.ends_with(L'\n')) line.remove_suffix(1);
  return {Outcome::kLine, narrow(line)};
}

void LineEditor::remember(const std::string& line) {
  HistEventW event;
  history_w(impl_->history, &event, H_ENTER, widen(line).c_str());
  if (impl_->to_file) impl_->file.append(line);
}

void LineEditor::keep_history(bool on) { impl_->to_file = on; }

}  // namespace quipu::cli
