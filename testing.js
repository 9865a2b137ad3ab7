const testing = require('./dist/testing/index.js');

module.exports = {
  createTestInfra: testing.createTestInfra,
  TestInfra: testing.TestInfra,
};
